* Fast NMOS, slow PMOS.
.param vthn=-0.025 vthp=0.025 un=1.06 up=0.94
