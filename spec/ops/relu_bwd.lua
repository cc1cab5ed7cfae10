-- relu_bwd runs as the gradient of relu; its samples are there.
return { samples = {}, backward_of = "relu" }
