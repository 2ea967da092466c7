import sys; sys.path.insert(0,'/work/env/compiler/src')
import numpy as np, time
import adjoint as ad
from adjoint import nn, optim
from adjoint import compile
def make():
    rng=np.random.default_rng(0)
    W1=nn.Parameter(ad.tensor(rng.normal(size=(64,128)).astype('f4')*.1)); b1=nn.Parameter(ad.zeros(128))
    W2=nn.Parameter(ad.tensor(rng.normal(size=(128,10)).astype('f4')*.1)); b2=nn.Parameter(ad.zeros(10))
    ps=[W1,b1,W2,b2]
    opt=optim.Adam(ps,lr=1e-2)
    def step(x,t):
        opt.zero_grad()
        h=(x@W1+b1).relu()
        y=h@W2+b2
        loss=nn.functional.cross_entropy(y,t)
        loss.backward()
        opt.step()
        return loss
    return step,ps
rng=np.random.default_rng(1)
xs=[ad.tensor(rng.normal(size=(64,64)).astype('f4')) for _ in range(20)]
ts=[ad.tensor(rng.integers(0,10,64)) for _ in range(20)]
s1,p1=make(); s2,p2=make(); c=compile(s2)
for i,(x,t) in enumerate(zip(xs,ts)):
    a=s1(x,t); b=c(x,t)
    if i%5==0: print(a.item(),b.item())
print(max(np.abs(u.detach().numpy()-v.detach().numpy()).max() for u,v in zip(p1,p2)))
prog=list(c.programs.values())[0].captured
print(len(prog.graph.operations), len(prog.states), len(prog.gradients))
from collections import Counter
print(Counter(o.prim.name for o in prog.graph.operations))
print(str(__import__('adjoint.ir.text',fromlist=['x']).pretty(prog.graph))[:6000])
t=time.perf_counter()
for _ in range(50): s1(xs[0],ts[0])
t1=time.perf_counter()
for _ in range(50): c(xs[0],ts[0])
t2=time.perf_counter()
print((t1-t)/50*1e6,(t2-t1)/50*1e6)
n=list(c.programs.values())[0].run.native; b_=list(c.programs.values())[0].run
x=xs[0];t_=ts[0]
import timeit
print("call",min(timeit.repeat(lambda:c(x,t_),number=50,repeat=9))/50*1e6)
print("native alone",min(timeit.repeat(lambda:n.function(b_.table),number=50,repeat=9))/50*1e6)
print([ (k.kind,len(k.roots),k.space,[o.prim.name for o in k.roots][:9]) for k in n.part.schedule.kernels])
t=time.perf_counter(); type(n)(prog); print("build ms",(time.perf_counter()-t)*1e3)
