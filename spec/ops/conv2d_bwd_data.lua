-- conv2d_bwd_data runs as the gradient of conv2d; its samples are there.
return { samples = {}, backward_of = "conv2d" }
