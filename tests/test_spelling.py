"""The text of modules is that of llvmlite, as LLVM reads it."""

import pytest

llvm = pytest.importorskip("llvmlite.binding")
from llvmlite import ir  # noqa: E402

from adjoint.compiler.native.spelling import function, spelled  # noqa: E402

I1, I32, I64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)
FLOAT = ir.FloatType()
FOUR = ir.VectorType(FLOAT, 4)


def read(text):
    """How LLVM itself writes it."""
    return str(llvm.parse_assembly(text))


def a_function(module, name="f", *kinds):
    f = ir.Function(module, ir.FunctionType(FLOAT, kinds or [FLOAT, I64]), name)
    return f, ir.IRBuilder(f.append_basic_block("start"))


def same(module):
    text = spelled(module, {})
    assert read(text) == read(str(module))
    return text


def test_arithmetic_and_constants():
    m = ir.Module("numbers")
    f, b = a_function(m)
    x, n = f.args
    y = b.fadd(x, FLOAT(0.1), flags=["contract", "nsz"])
    y = b.fmul(y, FLOAT(float("inf")))
    k = b.add(n, I64(-3), flags=["nsw"])
    y = b.fadd(y, b.uitofp(b.trunc(k, I32), FLOAT))
    c = b.fcmp_ordered("<", y, FLOAT(float("nan")), flags=["ninf"])
    c = b.and_(c, b.icmp_signed("==", k, I64(None)))
    b.ret(b.select(b.xor(c, I1(True)), y, ir.Constant(FLOAT, ir.Undefined)))
    same(m)


def test_vectors():
    m = ir.Module("vectors")
    f, b = a_function(m, "f", FOUR, FOUR.as_pointer())
    x, p = f.args
    mixed = ir.Constant(FOUR, [1.0, 2.0, 3.0, 4.0])
    x = b.fadd(b.fmul(x, ir.Constant(FOUR, 0.5)), mixed)
    x = b.fsub(x, ir.Constant(FOUR, None))
    one = ir.Constant(ir.VectorType(I1, 4), I1(1))
    x = b.select(one, x, ir.Constant(FOUR, ir.Undefined))
    turned = ir.Constant(ir.VectorType(I32, 4), [3, 2, 1, 0])
    x = b.shuffle_vector(x, mixed, turned)
    x = b.insert_element(x, FLOAT(2), I32(1))
    b.store(x, p, align=1)
    b.ret(b.extract_element(b.load(p, align=4), I32(2)))
    same(m)


def test_memory_calls_and_ways():
    m = ir.Module("ways")
    table = ir.GlobalVariable(m, ir.ArrayType(I64, 3), "a table")
    table.initializer = ir.Constant(table.type.pointee, [1, 2, 3])
    other, b = a_function(m, "other")
    other.linkage = "internal"
    other.attributes.add("noinline")
    b.ret(other.args[0])
    f, b = a_function(m, "f", FLOAT, FLOAT.as_pointer().as_pointer())
    f.args[1].add_attribute("noalias")
    loop, done = f.append_basic_block("loop"), f.append_basic_block("done")
    first = b.block
    place = b.alloca(FLOAT, I32(4))
    b.store(f.args[0], place)
    b.branch(loop)
    b.position_at_end(loop)
    i = b.phi(I64, name='a "name" \\')
    i.add_incoming(I64(0), first)
    after = b.add(i, b.load(b.gep(table, [I64(0), i], inbounds=True)))
    i.add_incoming(after, loop)
    y = b.call(other, [b.load(b.gep(place, [i])), after], tail=True)
    b.store(b.call(other, [y, i], fastmath=["fast"]), place)
    b.cbranch(b.icmp_unsigned("<", after, I64(9)), loop, done).set_weights([9, 1])
    b.position_at_end(done)
    b.fence("seq_cst")
    p = b.load(f.args[1])
    p.set_metadata("nontemporal", m.add_metadata([I32(1)]))
    p = b.inttoptr(b.ptrtoint(b.bitcast(p, I64.as_pointer()), I64), p.type)
    b.ret(b.load(p))
    same(m)


def test_what_was_spelled_before_is_not_spelled_again():
    m = ir.Module("known")
    f, b = a_function(m)
    b.ret(f.args[0])
    text = function(f)
    assert spelled(m, {f: text}) == same(m)
    assert "nothing" in spelled(m, {f: "nothing"})


def test_a_program(monkeypatch):
    import adjoint as ad
    from adjoint.compiler.native import program

    texts = []

    def both(module, functions):
        texts.append((spelled(module, functions), str(module)))
        return texts[-1][0]

    monkeypatch.setattr(program, "spelled", both)
    net = ad.nn.Sequential(ad.nn.Linear(5, 7), ad.nn.Tanh(), ad.nn.Linear(7, 3))
    opt = ad.optim.Adam(net.parameters())

    @ad.compile
    def step(x, t):
        opt.zero_grad()
        loss = ad.nn.functional.cross_entropy(net(x), t)
        loss.backward()
        opt.step()
        return loss

    for _ in range(2):
        step(ad.randn(6, 5), ad.tensor([0, 1, 2, 0, 1, 2]))
    if not texts:
        pytest.skip("the program was in the cache")
    ours, theirs = texts[0]
    assert read(ours) == read(theirs)
