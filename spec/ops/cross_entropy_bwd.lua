-- cross_entropy_bwd runs as the gradient of cross_entropy; its samples are there.
return { samples = {}, backward_of = "cross_entropy" }
