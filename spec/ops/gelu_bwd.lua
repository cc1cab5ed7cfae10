-- gelu_bwd runs as the gradient of gelu; its samples are there.
return { samples = {}, backward_of = "gelu" }
