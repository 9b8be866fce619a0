* Fast NMOS, fast PMOS: three sigma.
.param vthn=-0.035 vthp=-0.035 un=1.08 up=1.08
