-- dropout2d_bwd runs as the gradient of dropout2d; its samples are there.
return { samples = {}, backward_of = "dropout2d" }
