import sys; sys.path.insert(0,'/tmp')
import mpmath as mp
from remez import remez
from concurrent.futures import ProcessPoolExecutor
mp.mp.dps=60
ln2=mp.log(2)
def log_odd(deg,name):
    # log(m)=2 atanh(s), s=(m-1)/(m+1); atanh(s)=s+s^3*P(s^2); z=s^2 in [0,(sqrt2-1)^2/(sqrt2+1)^2]
    zmax=((mp.sqrt(2)-1)/(mp.sqrt(2)+1))**2*mp.mpf('1.02')
    def f(z):
        if z<mp.mpf(10)**-20: return mp.mpf(1)/3+z/5
        s=mp.sqrt(z); return (mp.atanh(s)-s)/(s*z)
    return name,remez(f,mp.mpf(0),zmax,deg,weight=lambda z: z+mp.mpf(10)**-3)
def tanh_small(deg,name,xmax):
    def f(z):
        if z<mp.mpf(10)**-20: return -mp.mpf(1)/3+2*z/15
        x=mp.sqrt(z); return (mp.tanh(x)-x)/(x*z)
    return name,remez(f,mp.mpf(0),mp.mpf(xmax)**2,deg,weight=lambda z: z+mp.mpf(10)**-3)
def sin_(deg,name):
    def f(z):
        if z<mp.mpf(10)**-20: return -mp.mpf(1)/6+z/120
        x=mp.sqrt(z); return (mp.sin(x)-x)/(x*z)
    return name,remez(f,mp.mpf(0),(mp.pi/4*mp.mpf('1.01'))**2,deg,weight=lambda z: z+mp.mpf(10)**-3)
def cos_(deg,name):
    def f(z):
        if z<mp.mpf(10)**-14: return mp.mpf(1)/24-z/720
        x=mp.sqrt(z); return (mp.cos(x)-1+z/2)/(z*z)
    return name,remez(f,mp.mpf(0),(mp.pi/4*mp.mpf('1.01'))**2,deg,weight=lambda z: z*z+mp.mpf(10)**-3)
def erf_small(deg,name):
    def f(z):
        if z<mp.mpf(10)**-20: return 2/mp.sqrt(mp.pi)*(1-z/3)
        x=mp.sqrt(z); return mp.erf(x)/x
    return name,remez(f,mp.mpf(0),mp.mpf(1),deg)
jobs=[(log_odd,3,"log32"),(log_odd,8,"log64"),(tanh_small,4,"tanh32",0.625),(tanh_small,11,"tanh64",0.625),(sin_,2,"sin32"),(sin_,5,"sin64"),(cos_,2,"cos32"),(cos_,5,"cos64"),(erf_small,6,"erf32")]
def go(j): 
    try: return j[0](*j[1:])
    except Exception as e: return j[2],repr(e)
if __name__=="__main__":
    with ProcessPoolExecutor(3) as ex:
        for name,r in ex.map(go,jobs):
            if isinstance(r,str): print(name,r)
            else: print(name,mp.nstr(r[1],4),[float(x) for x in r[0]],flush=True)
