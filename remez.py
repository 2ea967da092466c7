"""Remez on [a,b] for relative/absolute error, mpmath."""
import mpmath as mp
mp.mp.dps=60
def remez(f, a, b, deg, weight=lambda x: mp.mpf(1), iters=20, basis=None):
    basis = basis or [ (lambda x,k=k: x**k) for k in range(deg+1)]
    n=len(basis)
    xs=[(a+b)/2+(b-a)/2*mp.cos(mp.pi*(2*i+1)/(2*(n+1))) for i in range(n+1)][::-1]
    for it in range(iters):
        A=mp.matrix(n+1,n+1); y=mp.matrix(n+1,1)
        for i,x in enumerate(xs):
            for k in range(n): A[i,k]=basis[k](x)
            A[i,n]=(-1)**i/weight(x)
            y[i]=f(x)
        c=mp.lu_solve(A,y)
        err=lambda x: (f(x)-sum(c[k]*basis[k](x) for k in range(n)))*weight(x)
        grid=[a+(b-a)*i/mp.mpf(1500) for i in range(1501)]
        e=[err(x) for x in grid]
        ext=[];
        for i in range(len(grid)):
            l=e[i-1] if i else None; r=e[i+1] if i<len(grid)-1 else None
            if (l is None or abs(e[i])>=abs(l)) and (r is None or abs(e[i])>=abs(r)): ext.append(i)
        # pick alternating
        pts=[]
        for i in ext:
            if pts and mp.sign(e[i])==mp.sign(e[pts[-1]]):
                if abs(e[i])>abs(e[pts[-1]]): pts[-1]=i
            else: pts.append(i)
        while len(pts)>n+1:
            if abs(e[pts[0]])<abs(e[pts[-1]]): pts.pop(0)
            else: pts.pop()
        if len(pts)<n+1: break
        new=[grid[i] for i in pts]
        if max(abs(u-v) for u,v in zip(new,xs))<mp.mpf(10)**-25: break
        xs=new
    return [c[k] for k in range(n)], max(abs(v) for v in e)
if __name__=="__main__":
    ln2=mp.log(2)
    # exp f32: exp(r)=1+r+r^2*P(r)
    for name,deg in (("exp32",4),("exp64",9)):
        f=lambda r:(mp.exp(r)-1-r)/r**2 if abs(r)>1e-12 else mp.mpf(1)/2+r/6
        c,e=remez(f,-ln2/2*mp.mpf('1.01'),ln2/2*mp.mpf('1.01'),deg,weight=lambda r:r**2 if r!=0 else mp.mpf(10)**-20)
        print(name,mp.nstr(e,5),[mp.nstr(x,20) for x in c])
