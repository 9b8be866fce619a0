* Typical NMOS, typical PMOS.
.param vthn=0 vthp=0 un=1 up=1
