"""What our writer of LLVM's language writes is what llvmlite's writes, as LLVM reads it."""

import math
import re

import pytest

llvm = pytest.importorskip("llvmlite.binding")
from llvmlite import ir as theirs  # noqa: E402

from adjoint.compiler.native.llvm import text as ours  # noqa: E402


def read(text):
    """How LLVM itself writes it, values and blocks of a function named in their order."""
    module = llvm.parse_assembly(text)
    module.verify()
    return [*map(str, module.global_variables), *map(_named, module.functions)]


def _named(function):
    text = re.sub(r" +; preds = .*|attributes #\d+|!\d+|#\d+", "", str(function))
    text = re.sub(r'^("?[\w.]+"?):', r"%\1:", text, flags=re.MULTILINE)
    known = {}

    def numbered(m):
        return known.setdefault(m.group().replace('"', ""), f"%{len(known)}")

    return re.sub(r'%(?:[\w.]+|"[^"]*")', numbered, text)


def same(write):
    """Both modules, by what their functions are."""
    texts = []
    for ir in (ours, theirs):
        module = ir.Module("m")
        write(ir, module)
        texts.append(str(module))
    assert read(texts[0]) == read(texts[1])
    return texts[0]


def a_function(ir, module, result, *kinds):
    f = ir.Function(module, ir.FunctionType(result, kinds), "f")
    return f, ir.IRBuilder(f.append_basic_block("start"))


def test_arithmetic_and_constants():
    def write(ir, m):
        real, whole, bit = ir.FloatType(), ir.IntType(64), ir.IntType(1)
        f, b = a_function(ir, m, real, real, whole)
        x, n = f.args
        for name in ("fadd", "fsub", "fmul", "fdiv"):
            x = getattr(b, name)(x, real(0.1), flags=("contract", "nsz"))
        for value in (math.inf, -math.inf, math.nan, -0.0, 1e-45, 3e38, 1):
            x = b.fadd(x, real(value))
        for name in ("add", "sub", "mul", "udiv", "urem", "and_", "or_", "xor"):
            n = getattr(b, name)(n, whole(-3))
        for name in ("shl", "lshr", "ashr"):
            n = getattr(b, name)(n, whole(2))
        x = b.fadd(b.fneg(x), b.uitofp(b.trunc(b.not_(b.neg(n)), ir.IntType(32)), real))
        c = b.fcmp_ordered("<", x, real(2), flags=["ninf"])
        c = b.or_(c, b.fcmp_unordered("uno", x, x))
        for sign in ("<", "<=", ">", ">=", "==", "!="):
            c = b.and_(c, b.icmp_signed(sign, n, whole(7)))
            c = b.and_(c, b.icmp_unsigned(sign, n, whole(None)))
        b.ret(b.select(b.xor(c, bit(True)), x, ir.Constant(real, ir.Undefined)))

    same(write)


def test_casts():
    def write(ir, m):
        half, real, double = ir.HalfType(), ir.FloatType(), ir.DoubleType()
        f, b = a_function(ir, m, half, half, ir.IntType(8))
        x, n = f.args
        y = b.fadd(b.fpext(x, double), b.sitofp(b.sext(n, ir.IntType(32)), double))
        y = b.fadd(y, b.uitofp(b.fptoui(y, ir.IntType(64)), double))
        y = b.fadd(y, double(math.pi))
        k = b.bitcast(b.fptrunc(y, real), ir.IntType(32))
        k = b.add(k, b.fptosi(y, ir.IntType(32)))
        k = b.zext(b.trunc(k, ir.IntType(16)), ir.IntType(32))
        b.ret(b.fadd(b.fptrunc(b.bitcast(k, real), half), half(0.1)))

    same(write)


def test_vectors():
    def write(ir, m):
        real, bit = ir.FloatType(), ir.IntType(1)
        four = ir.VectorType(real, 4)
        f, b = a_function(ir, m, real, four, four.as_pointer())
        x, p = f.args
        mixed = ir.Constant(four, [1.0, 2.0, 3.0, 4.0])
        x = b.fadd(b.fmul(x, ir.Constant(four, 0.5)), mixed)
        x = b.fsub(b.fsub(x, ir.Constant(four, None)), ir.Constant(four, [0.0] * 4))
        x = b.fsub(x, ir.Constant(four, [0.0, -0.0, 0.0, 0.0]))
        every = ir.Constant(ir.VectorType(bit, 4), [True] * 4)
        mask = b.and_(every, b.fcmp_ordered("<", x, mixed))
        x = b.select(mask, x, ir.Constant(four, ir.Undefined))
        turned = ir.Constant(ir.VectorType(ir.IntType(32), 6), [3, 2, 1, 0, 5, 7])
        x = b.shuffle_vector(x, mixed, turned)
        x = b.insert_element(x, real(2), ir.IntType(32)(1))
        first = ir.Constant(ir.VectorType(ir.IntType(32), 4), [0] * 4)
        x = b.shuffle_vector(x, x, first)
        b.store(x, p, align=1)
        b.ret(b.extract_element(b.load(p, align=4), ir.IntType(32)(2)))

    text = same(write)
    assert "splat (float 0x3fe0000000000000)" in text
    assert "float 0x8000000000000000" in text  # -0 is not 0


def test_memory_calls_and_ways():
    def write(ir, m):
        real, whole = ir.FloatType(), ir.IntType(64)
        table = ir.GlobalVariable(m, ir.ArrayType(whole, 3), 'a "table" \\')
        table.initializer = ir.Constant(table.type.pointee, [1, 2, 3])
        table.linkage, table.global_constant, table.align = "internal", True, 64
        zeros = ir.GlobalVariable(m, ir.ArrayType(whole, 3), m.get_unique_name("words"))
        zeros.initializer = ir.Constant(zeros.type.pointee, None)
        outside = ir.FunctionType(ir.VoidType(), [real.as_pointer()])
        outside = ir.Function(m, outside, "outside")
        f, b = a_function(ir, m, real, real, real.as_pointer().as_pointer())
        loop, done = f.append_basic_block("loop"), f.append_basic_block("done")
        first = b.block
        place = b.alloca(real, 4)
        b.store(f.args[0], place)
        b.branch(loop)
        b.position_at_end(loop)
        i = b.phi(whole)
        i.add_incoming(whole(0), first)
        after = b.add(i, b.load(b.gep(table, [whole(0), i], inbounds=True)))
        i.add_incoming(after, loop)
        with b.goto_entry_block():
            other = b.alloca(real)
        b.store(b.load(b.gep(place, [i])), other)
        b.call(outside, [other])
        b.cbranch(b.icmp_unsigned("<", after, whole(9)), loop, done).set_weights([9, 1])
        assert loop.is_terminated
        assert not done.is_terminated
        b.position_at_end(done)
        b.fence("seq_cst")
        word = b.gep(zeros, [whole(0), whole(1)])
        old = b.cmpxchg(word, whole(1), whole(2), "seq_cst", "acquire")
        with b.if_then(b.extract_value(old, 1), likely=False):
            b.store_atomic(whole(3), word, "release", 8)
        with b.if_else(b.icmp_signed("==", after, whole(4))) as (yes, no):
            with yes:
                b.atomic_rmw("add", word, b.load_atomic(word, "seq_cst", 8), "seq_cst")
            with no, b.goto_block(loop):
                b.store(real(1), other)
        p = b.load(f.args[1])
        p = b.inttoptr(b.ptrtoint(p, whole), p.type)
        b.ret(b.load(p))

    same(write)


def test_structures_and_marks():
    def write(ir, m):
        real = ir.FloatType()
        pair = ir.LiteralStructType([real, ir.IntType(32)])
        made = ir.Function(m, ir.FunctionType(pair, [real]), "made")
        made.linkage = "internal"
        b = ir.IRBuilder(made.append_basic_block())
        x = b.insert_value(ir.Constant(pair, ir.Undefined), made.args[0], 0)
        b.ret(b.insert_value(x, ir.IntType(32)(7), 1))
        f, b = a_function(ir, m, real, real)
        x = b.call(made, [f.args[0]])
        root = ir.Function(m, ir.FunctionType(real, [real]), "llvm.sqrt.f32")
        b.ret(b.call(root, [b.extract_value(x, 0)], fastmath=("nsz", "nnan")))

    same(write)
    m = ours.Module()
    real = ours.FloatType()
    f, b = a_function(ours, m, real, real.as_pointer())
    f.mark("nounwind", "noinline")
    f.args[0].mark("noalias")
    x = b.load(f.args[0])
    x.set_metadata("nontemporal", m.add_metadata([ours.IntType(32)(1)]))
    b.ret(x)
    text = str(llvm.parse_assembly(str(m)))
    assert "noinline nounwind" in text
    assert "ptr noalias %" in text
    assert "!nontemporal !0" in text


def test_types_are_one_object_each():
    assert ours.IntType(8) is ours.IntType(8)
    assert ours.VectorType(ours.FloatType(), 4) is ours.VectorType(ours.FloatType(), 4)
    assert ours.IntType(8).as_pointer() is not ours.IntType(16).as_pointer()
    assert ours.IntType(8)(3) is ours.IntType(8)(3)


def test_pointers_are_cast_without_an_instruction():
    m = ours.Module()
    f, b = a_function(ours, m, ours.IntType(8), ours.FloatType().as_pointer())
    p = b.gep(f.args[0], [ours.IntType(64)(1)])
    q = b.bitcast(p, ours.IntType(8).as_pointer())
    assert (q.text, q.type.pointee) == (p.text, ours.IntType(8))
    b.ret(b.load(q))
    assert len(b.block.instructions) == 2


def test_what_lanes_share():
    four = ours.VectorType(ours.FloatType(), 4)
    two, mixed = ours.Constant(four, 2.0), ours.Constant(four, [1.0, 2.0, 3.0, 4.0])
    assert two.of_all_lanes().constant == 2.0
    assert ours.Constant(four, [2.0] * 4).of_all_lanes().text == two.of_all_lanes().text
    assert mixed.of_all_lanes() is None
    assert ours.FloatType()(2.0).of_all_lanes() is None


def test_a_name_and_an_end_are_given_once():
    m = ours.Module()
    f, b = a_function(ours, m, ours.VoidType())
    b.ret_void()
    with pytest.raises(ValueError, match="ends already"):
        b.ret_void()
    with pytest.raises(ValueError, match="has 'f' already"):
        ours.Function(m, f.type.pointee, "f")
    assert m.get_unique_name("f") == "f.1"
