import sys; sys.path.insert(0,'/work/env/compiler/src')
import sys,time,ctypes,numpy as np, mpmath as mp
from llvmlite import ir
from adjoint.compile.native.lanes import Lanes
from adjoint.compile.native.machine import Library, vector_bits
def kernel(name,bits):
    w=vector_bits()//bits
    m=ir.Module("m")
    ft={32:ir.FloatType(),64:ir.DoubleType()}[bits]
    p=ft.as_pointer(); i64=ir.IntType(64)
    f=ir.Function(m,ir.FunctionType(ir.VoidType(),[p,p,i64]),"k_"+name)
    f.attributes.add("nounwind")
    x,y,n=f.args
    e=f.append_basic_block("e"); l=f.append_basic_block("l"); d=f.append_basic_block("d")
    b=ir.IRBuilder(e); b.branch(l)
    b=ir.IRBuilder(l); i=b.phi(i64); i.add_incoming(i64(0),e)
    L=Lanes(b,w)
    vp=L.vector(ft).as_pointer()
    v=b.load(b.bitcast(b.gep(x,[i]),vp),align=4)
    r=getattr(L,name)(v)
    b.store(r,b.bitcast(b.gep(y,[i]),vp),align=4)
    j=b.add(i,i64(w)); i.add_incoming(j,l)
    b.cbranch(b.icmp_signed("<",j,n),l,d)
    ir.IRBuilder(d).ret_void()
    t=time.perf_counter(); lib=Library(m); dt=time.perf_counter()-t
    fn=ctypes.CFUNCTYPE(None,ctypes.c_void_p,ctypes.c_void_p,ctypes.c_int64)(lib.address("k_"+name))
    def run(a):
        o=np.empty_like(a); fn(a.ctypes.data,o.ctypes.data,a.size); return o
    run.lib=lib; run.dt=dt
    return run
def ulps(got,x,f):
    """max error in ulp against mpmath on a sample."""
    mp.mp.prec=120
    worst=(0,None)
    for g,v in zip(got.tolist(),x.tolist()):
        e=f(mp.mpf(v))
        t=got.dtype.type
        r=t(float(e)) if got.dtype==np.float32 else t(e)
        if not np.isfinite(r) or not np.isfinite(g):
            if not (r==g): worst=max(worst,(1e9,v),key=lambda z:z[0])
            continue
        u=float(abs(mp.mpf(g)-e)/mp.mpf(float(np.spacing(abs(r)) if r!=0 else np.finfo(got.dtype).smallest_subnormal)))
        if u>worst[0]: worst=(u,v)
    return worst
rng=np.random.default_rng(0)
fs={"exp":(mp.exp,-110,95,-760,715),"expm1":(mp.expm1,-30,92,-50,712),"log":(mp.log,None,None,None,None),"log1p":(mp.log1p,-1,5,-1,5),"tanh":(mp.tanh,-12,12,-22,22),"sigmoid":(lambda x:1/(1+mp.exp(-x)),-90,90,-700,700)}
for name,(f,a,b,c,d) in fs.items():
    for bits,(lo,hi) in ((32,(a,b)),(64,(c,d))):
        t=np.float32 if bits==32 else np.float64
        if lo is None:
            big=38 if bits==32 else 307
            x=10.0**rng.uniform(-big-6,big,4096); x=np.concatenate([x,rng.uniform(.5,2,4096)])
        else:
            x=np.concatenate([rng.uniform(lo,hi,4096),rng.normal(size=2048)*.3,10.0**rng.uniform(-30,0,1024)*rng.choice([-1,1],1024)])
            if name=="log1p": x=np.concatenate([x,10.0**rng.uniform(-20,30,1024)])
        x=x.astype(t)
        if name in("log1p",): x=x[x>-1]
        x=x[:x.size//16*16]
        k=kernel(name,bits)
        u=ulps(k(x),x,f)
        s=np.array([np.nan,np.inf,-np.inf,0.0,-0.0,1e-45 if bits==32 else 5e-324,-1,1]*2,dtype=t)
        big=np.ones(1<<14,t); 
        n=200; t0=time.perf_counter()
        for _ in range(n): k(big)
        dt=(time.perf_counter()-t0)/n/big.size*1e9
        print(f"{name}{bits}: {u[0]:.3f} ulp at {u[1]}; {dt:.3f} ns/elt; compile {k.dt*1e3:.0f} ms; special {k(s)[:8].tolist()}")
