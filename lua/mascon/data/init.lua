--- mascon.data: data sets and the loader that makes batches of them.

local dataset = require "mascon.data.dataset"
local options = require "mascon.options"

return options.name_nearest("data", {
  DataLoader = require "mascon.data.loader",
  TensorDataset = dataset.TensorDataset,
  Subset = dataset.Subset,
  ConcatDataset = dataset.ConcatDataset,
  random_split = dataset.random_split,
})
