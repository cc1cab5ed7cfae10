-- max_pool2d_bwd runs as the gradient of max_pool2d; its samples are there.
return { samples = {}, backward_of = "max_pool2d" }
