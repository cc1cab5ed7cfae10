-- leaky_relu_bwd runs as the gradient of leaky_relu; its samples are there.
return { samples = {}, backward_of = "leaky_relu" }
