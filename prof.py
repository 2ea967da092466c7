exec(open('tc.py').read().split("s1,p1=make()")[0])
import timeit
from adjoint.compile.native.program import Native
from adjoint.compile.capture import capture
s2,p2=make(); c=compile(s2); c(xs[0],ts[0]); c(xs[0],ts[0])
n=list(c.programs.values())[0].run
import adjoint.compile.native.program as P
g=list(c.programs.values())[0].captured.graph
# time by truncating kernels
ins=[xs[0].value,ts[0].value]+[h.array for h in list(c.programs.values())[0].captured.held]
class Cut(Native):
    def __init__(s,g,k): s.k=k; super().__init__(g)
    def _module(s):
        s.schedule.kernels=s.schedule.kernels[:s.k]
        return super()._module()
prev=0
for k in range(1,len(n.schedule.kernels)+1):
    m=Cut(g,k); m(ins)
    t=min(timeit.repeat(lambda:m.function(m.table),number=50,repeat=7))/50*1e6
    kk=n.schedule.kernels[k-1]
    print(f"{t-prev:8.2f} {kk.kind} {kk.space} {[o.prim.name for o in kk.roots]}")
    prev=t
