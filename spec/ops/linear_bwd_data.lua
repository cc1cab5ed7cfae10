-- linear_bwd_data runs as the gradient of linear; its samples are there.
return { samples = {}, backward_of = "linear" }
