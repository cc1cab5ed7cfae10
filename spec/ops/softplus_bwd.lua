-- softplus_bwd runs as the gradient of softplus; its samples are there.
return { samples = {}, backward_of = "softplus" }
