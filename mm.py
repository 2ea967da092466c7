import sys,time,ctypes
sys.path.insert(0,'/work/env/compiler/src')
import numpy as np
from llvmlite import ir
from adjoint.compile.native.machine import Library, vector_bits
I64=ir.IntType(64); F=ir.FloatType()
def const(n): return ir.Constant(I64,n)
class Loop:
    """for i in range(start, stop, step): body"""
    def __init__(s,b,start,stop,step,name=""):
        s.b=b
        s.head=b.append_basic_block(name+".head"); s.done=b.append_basic_block(name+".done")
        s.pre=b.block
        s.stop,s.step,s.start=stop,step,start
    def __enter__(s):
        b=s.b
        b.branch(s.head); b.position_at_end(s.head)
        s.i=b.phi(I64); s.i.add_incoming(s.start,s.pre); s.phis=[]
        return s
    def carry(s,init):
        p=s.b.phi(init.type); p.add_incoming(init,s.pre); s.phis.append(p); return p
    def next(s,*vals): s.vals=vals
    def __exit__(s,*e):
        if e[0]: return
        b=s.b
        j=b.add(s.i,s.step); s.i.add_incoming(j,b.block)
        for p,v in zip(s.phis,getattr(s,'vals',())): p.add_incoming(v,b.block)
        b.cbranch(b.icmp_signed("<",j,s.stop),s.head,s.done)
        b.position_at_end(s.done)
def micro(m,name,mr,nv,W,K,ars,acs,brs,rem,unroll=4):
    """C[mr, nv*W] = A[mr,K] B[K,nv*W]; rem: lanes of last vector (0=full)"""
    VT=ir.VectorType(F,W); P=F.as_pointer()
    f=ir.Function(m,ir.FunctionType(ir.VoidType(),[P,P,P,I64]),name)
    f.linkage="internal"; f.attributes.add("nounwind")
    for a in f.args[:3]: a.add_attribute("noalias")
    A,B,C,ldc=f.args
    b=ir.IRBuilder(f.append_basic_block("entry"))
    zero=ir.Constant(VT,[0.0]*W)
    fma=m.globals.get(f"llvm.fma.v{W}f32") or ir.Function(m,ir.FunctionType(VT,[VT]*3),f"llvm.fma.v{W}f32")
    mask=ir.Constant(ir.VectorType(ir.IntType(1),W),[i<(rem or W) for i in range(W)])
    def vload(p,last):
        p=b.bitcast(p,VT.as_pointer())
        if last and rem:
            nm=f"llvm.masked.load.v{W}f32.p0"
            g=m.globals.get(nm) or ir.Function(m,ir.FunctionType(VT,[VT.as_pointer(),ir.IntType(32),mask.type,VT]),nm)
            return b.call(g,[p,ir.Constant(ir.IntType(32),4),mask,zero])
        return b.load(p,align=4)
    def vstore(v,p,last):
        p=b.bitcast(p,VT.as_pointer())
        if last and rem:
            nm=f"llvm.masked.store.v{W}f32.p0"
            g=m.globals.get(nm) or ir.Function(m,ir.FunctionType(ir.VoidType(),[VT,VT.as_pointer(),ir.IntType(32),mask.type]),nm)
            b.call(g,[v,p,ir.Constant(ir.IntType(32),4),mask]); return
        b.store(v,p,align=4)
    def step(k,acc):
        brow=b.gep(B,[b.mul(k,const(brs))])
        bv=[vload(b.gep(brow,[const(j*W)]),j==nv-1) for j in range(nv)]
        ak=b.gep(A,[b.mul(k,const(acs))])
        out=[]
        for i in range(mr):
            s=b.load(b.gep(ak,[const(i*ars)]))
            v=b.insert_element(ir.Constant(VT,ir.Undefined),s,ir.Constant(ir.IntType(32),0))
            v=b.shuffle_vector(v,ir.Constant(VT,ir.Undefined),ir.Constant(ir.VectorType(ir.IntType(32),W),[0]*W))
            for j in range(nv): out.append(b.call(fma,[v,bv[j],acc[i*nv+j]]))
        return out
    acc=[zero]*(mr*nv)
    main=K//unroll*unroll
    if main:
        with Loop(b,const(0),const(main),const(unroll),"k") as L:
            c=[L.carry(zero) for _ in acc]
            for u in range(unroll): 
                c=step(b.add(L.i,const(u)),c)
            L.next(*c)
        acc=c
    for k in range(main,K): acc=step(const(k),acc)
    for i in range(mr):
        row=b.gep(C,[b.mul(ldc,const(i))])
        for j in range(nv): vstore(acc[i*nv+j],b.gep(row,[const(j*W)]),j==nv-1)
    b.ret_void()
    return f
def matmul(M,N,K,ars,acs,brs,MR=8,NV=3,W=None,unroll=4):
    W=W or vector_bits()//32
    m=ir.Module("mm"); P=F.as_pointer()
    f=ir.Function(m,ir.FunctionType(ir.VoidType(),[P,P,P]),"mm")
    A,B,C=f.args
    b=ir.IRBuilder(f.append_basic_block("entry"))
    NR=NV*W; kernels={}
    def kern(mr,nv,rem):
        if (mr,nv,rem) not in kernels: kernels[mr,nv,rem]=micro(m,f"k{mr}x{nv}r{rem}",mr,nv,W,K,ars,acs,brs,rem,unroll)
        return kernels[mr,nv,rem]
    def rows(n0,nv,rem):
        Bp=b.gep(B,[n0]); full=M//MR
        if full:
            with Loop(b,const(0),const(full*MR),const(MR),"m") as L:
                b.call(kern(MR,nv,rem),[b.gep(A,[b.mul(L.i,const(ars))]),Bp,b.gep(C,[b.add(b.mul(L.i,const(N)),n0)]),const(N)])
        r=M-full*MR
        if r: b.call(kern(r,nv,rem),[b.gep(A,[const(full*MR*ars)]),Bp,b.gep(C,[b.add(const(full*MR*N),n0)]),const(N)])
    fulln=N//NR
    if fulln:
        with Loop(b,const(0),const(fulln*NR),const(NR),"n") as L: rows(L.i,NV,0)
    left=N-fulln*NR
    if left:
        nv=-(-left//W); rows(const(fulln*NR),nv,left%W)
    b.ret_void()
    return m
def build(*a,**k):
    m=matmul(*a,**k); t=time.perf_counter(); lib=Library(m); dt=time.perf_counter()-t
    fn=ctypes.CFUNCTYPE(None,ctypes.c_void_p,ctypes.c_void_p,ctypes.c_void_p)(lib.address("mm")); fn.lib=lib
    return fn,dt
if __name__=="__main__":
    import os
    rng=np.random.default_rng(0)
    def best(f,n):
        ts=[]
        for _ in range(n):
            t=time.perf_counter(); f(); ts.append(time.perf_counter()-t)
        return sorted(ts)[len(ts)//4]
    for M,N,K in [(64,128,64),(64,10,128),(128,512,784),(128,528,784),(128,512,512),(64,48,64),(32,8,8),(1024,2048,784),(1024,2048,2048)]:
        a=rng.normal(size=(M,K)).astype('f4'); bb=rng.normal(size=(K,N)).astype('f4'); c=np.empty((M,N),'f4')
        fl=2*M*N*K; n=max(5,min(2000,int(3e9/fl)))
        tn=best(lambda: np.matmul(a,bb,out=c),n); ref=c.copy()
        line=f"{M}x{N}x{K}: numpy {fl/tn/1e9:6.1f} GF/s"
        for MR,NV in ((8,3),(14,2),(6,4)):
            fn,dt=build(M,N,K,K,1,N,MR=MR,NV=NV)
            p=(a.ctypes.data,bb.ctypes.data,c.ctypes.data)
            to=best(lambda: fn(*p),n)
            err=np.abs(c-ref).max()
            line+=f" | {MR}x{NV}: {fl/to/1e9:6.1f} ({tn/to:.2f}x, {dt*1e3:.0f}ms, err {err:.1e})"
        print(line,flush=True)
