* Slow NMOS, fast PMOS.
.param vthn=0.025 vthp=-0.025 un=0.94 up=1.06
