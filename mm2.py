from mm import *
def micro2(m,name,mr,nv,W,ars,acs,rem,unroll=4):
    """C[mr,nv*W] (+)= A[mr,kc] Bp[kc,nv*W] packed; first: 1 -> start from zero"""
    VT=ir.VectorType(F,W); P=F.as_pointer()
    f=ir.Function(m,ir.FunctionType(ir.VoidType(),[P,P,P,I64,I64,ir.IntType(1)]),name)
    f.linkage="internal"; f.attributes.add("nounwind"); f.attributes.add("noinline")
    for a in f.args[:3]: a.add_attribute("noalias")
    A,B,C,ldc,kc,first=f.args
    b=ir.IRBuilder(f.append_basic_block("entry"))
    zero=ir.Constant(VT,[0.0]*W)
    fma=m.globals.get(f"llvm.fma.v{W}f32") or ir.Function(m,ir.FunctionType(VT,[VT]*3),f"llvm.fma.v{W}f32")
    mask=ir.Constant(ir.VectorType(ir.IntType(1),W),[i<(rem or W) for i in range(W)])
    def mload(p):
        nm=f"llvm.masked.load.v{W}f32.p0"
        g=m.globals.get(nm) or ir.Function(m,ir.FunctionType(VT,[VT.as_pointer(),ir.IntType(32),mask.type,VT]),nm)
        return b.call(g,[p,ir.Constant(ir.IntType(32),4),mask,zero])
    def vload(p,last):
        p=b.bitcast(p,VT.as_pointer())
        return mload(p) if last and rem else b.load(p,align=4)
    def vstore(v,p,last):
        p=b.bitcast(p,VT.as_pointer())
        if last and rem:
            nm=f"llvm.masked.store.v{W}f32.p0"
            g=m.globals.get(nm) or ir.Function(m,ir.FunctionType(ir.VoidType(),[VT,VT.as_pointer(),ir.IntType(32),mask.type]),nm)
            b.call(g,[v,p,ir.Constant(ir.IntType(32),4),mask]); return
        b.store(v,p,align=4)
    def step(ak,brow,acc):
        bv=[b.load(b.bitcast(b.gep(brow,[const(j*W)]),VT.as_pointer()),align=64) for j in range(nv)]
        out=[]
        for i in range(mr):
            s=b.load(b.gep(ak,[const(i*ars)]))
            v=b.insert_element(ir.Constant(VT,ir.Undefined),s,ir.Constant(ir.IntType(32),0))
            v=b.shuffle_vector(v,ir.Constant(VT,ir.Undefined),ir.Constant(ir.VectorType(ir.IntType(32),W),[0]*W))
            for j in range(nv): out.append(b.call(fma,[v,bv[j],acc[i*nv+j]]))
        return out
    # kc is a multiple of unroll or remainder handled by second loop
    main=b.and_(kc,const(-unroll))
    acc=[zero]*(mr*nv)
    pre=b.block
    with b.if_then(b.icmp_signed("<",kc,const(0))): pass
    def loop(start,stop,stepn,u,acc):
        b_pre=b.block
        head=b.append_basic_block("h"); done=b.append_basic_block("d")
        b.cbranch(b.icmp_signed("<",start,stop),head,done)
        b.position_at_end(head)
        i=b.phi(I64); i.add_incoming(start,b_pre)
        ph=[]
        for a in acc: 
            p=b.phi(VT); p.add_incoming(a,b_pre); ph.append(p)
        c=ph
        for q in range(u):
            k=b.add(i,const(q))
            c=step(b.gep(A,[b.mul(k,const(acs))]),b.gep(B,[b.mul(k,const(nv*W))]),c)
        j=b.add(i,const(u)); i.add_incoming(j,b.block)
        for p,v in zip(ph,c): p.add_incoming(v,b.block)
        hb=b.block
        b.cbranch(b.icmp_signed("<",j,stop),head,done)
        b.position_at_end(done)
        out=[]
        for a,v in zip(acc,c):
            p=b.phi(VT); p.add_incoming(a,b_pre); p.add_incoming(v,hb); out.append(p)
        return out
    acc=loop(const(0),main,unroll,unroll,acc)
    acc=loop(main,kc,1,1,acc)
    for i in range(mr):
        row=b.gep(C,[b.mul(ldc,const(i))])
        for j in range(nv):
            p=b.gep(row,[const(j*W)])
            old=vload(p,j==nv-1)
            v=b.select(first,acc[i*nv+j],b.fadd(old,acc[i*nv+j]))
            vstore(v,p,j==nv-1)
    b.ret_void()
    return f
def matmul2(M,N,K,ars,acs,brs,bcs,MR=8,NV=3,W=None,KC=256,unroll=4):
    W=W or vector_bits()//32
    m=ir.Module("mm"); P=F.as_pointer(); VT=ir.VectorType(F,W)
    f=ir.Function(m,ir.FunctionType(ir.VoidType(),[P,P,P,P]),"mm")
    A,B,C,S=f.args
    b=ir.IRBuilder(f.append_basic_block("entry"))
    NR=NV*W; kernels={}
    def kern(mr,nv,rem):
        key=(mr,nv,rem)
        if key not in kernels: kernels[key]=micro2(m,f"k{mr}x{nv}r{rem}",mr,nv,W,ars,acs,rem,unroll)
        return kernels[key]
    KB=-(-K//KC); KC=-(-K//KB); KC=-(-KC//unroll)*unroll
    def panel(k0,kc,n0,nv,rem,first):
        # pack
        src=b.gep(B,[b.add(b.mul(k0,const(brs)),b.mul(n0,const(bcs)))])
        if bcs==1:
            mask=ir.Constant(ir.VectorType(ir.IntType(1),W),[i<(rem or W) for i in range(W)])
            with Loop(b,const(0),kc,const(1),"pk") as L:
                for j in range(nv):
                    p=b.bitcast(b.gep(src,[b.add(b.mul(L.i,const(brs)),const(j*W))]),VT.as_pointer())
                    if rem and j==nv-1:
                        nm=f"llvm.masked.load.v{W}f32.p0"
                        g=m.globals.get(nm) or ir.Function(m,ir.FunctionType(VT,[VT.as_pointer(),ir.IntType(32),mask.type,VT]),nm)
                        v=b.call(g,[p,ir.Constant(ir.IntType(32),4),mask,ir.Constant(VT,[0.0]*W)])
                    else: v=b.load(p,align=4)
                    b.store(v,b.bitcast(b.gep(S,[b.add(b.mul(L.i,const(nv*W)),const(j*W))]),VT.as_pointer()),align=64)
        else:
            with Loop(b,const(0),const(nv*W if not rem else (nv-1)*W+rem),const(1),"pj") as J:
                with Loop(b,const(0),kc,const(1),"pk") as L:
                    v=b.load(b.gep(src,[b.add(b.mul(L.i,const(brs)),b.mul(J.i,const(bcs)))]))
                    b.store(v,b.gep(S,[b.add(b.mul(L.i,const(nv*W)),J.i)]))
        Ak=b.gep(A,[b.mul(k0,const(acs))])
        full=M//MR
        if full:
            with Loop(b,const(0),const(full*MR),const(MR),"m") as L:
                b.call(kern(MR,nv,rem),[b.gep(Ak,[b.mul(L.i,const(ars))]),S,b.gep(C,[b.add(b.mul(L.i,const(N)),n0)]),const(N),kc,first])
        r=M-full*MR
        if r: b.call(kern(r,nv,rem),[b.gep(Ak,[const(full*MR*ars)]),S,b.gep(C,[b.add(const(full*MR*N),n0)]),const(N),kc,first])
    with Loop(b,const(0),const(K),const(KC),"kb") as KL:
        rest=b.sub(const(K),KL.i)
        kc=b.select(b.icmp_signed("<",rest,const(KC)),rest,const(KC))
        first=b.icmp_signed("==",KL.i,const(0))
        fulln=N//NR
        if fulln:
            with Loop(b,const(0),const(fulln*NR),const(NR),"n") as L: panel(KL.i,kc,L.i,NV,0,first)
        left=N-fulln*NR
        if left: panel(KL.i,kc,const(fulln*NR),-(-left//W),left%W,first)
    b.ret_void()
    return m
def build2(*a,**k):
    m=matmul2(*a,**k); t=time.perf_counter(); lib=Library(m); dt=time.perf_counter()-t
    fn=ctypes.CFUNCTYPE(None,*[ctypes.c_void_p]*4)(lib.address("mm")); fn.lib=lib
    return fn,dt
if __name__=="__main__":
    rng=np.random.default_rng(0)
    raw=np.zeros(1<<20,np.uint8); scratch=raw.ctypes.data+(-raw.ctypes.data)%64
    def best(f,n):
        ts=[]
        for _ in range(n):
            t=time.perf_counter(); f(); ts.append(time.perf_counter()-t)
        return sorted(ts)[len(ts)//4]
    for M,N,K,tr in [(128,512,784,0),(1024,2048,784,0),(1024,2048,2048,0),(1024,2048,2048,1),(784,512,128,0),(2048,2048,1024,0)]:
        a=rng.normal(size=(M,K)).astype('f4'); bb=rng.normal(size=(K,N)).astype('f4'); c=np.empty((M,N),'f4')
        bt=np.ascontiguousarray(bb.T) if tr else bb
        fl=2*M*N*K; n=max(5,min(2000,int(3e9/fl)))
        op=(lambda: np.matmul(a,bt.T,out=c)) if tr else (lambda: np.matmul(a,bb,out=c))
        tn=best(op,n); ref=c.copy()
        line=f"{M}x{N}x{K} t{tr}: numpy {fl/tn/1e9:6.1f} GF/s"
        for MR,NV,KC in ((8,3,256),(8,3,384),(8,3,512),(14,2,256),(14,2,384)):
            fn,dt=build2(M,N,K,K,1,*((1,K) if tr else (N,1)),MR=MR,NV=NV,KC=KC)
            p=(a.ctypes.data,bt.ctypes.data,c.ctypes.data,scratch)
            to=best(lambda: fn(*p),n)
            err=np.abs(c-ref).max()
            line+=f" | {MR}x{NV}/{KC}: {fl/to/1e9:6.1f} ({tn/to:.2f}x, {err:.0e})"
        print(line,flush=True)
