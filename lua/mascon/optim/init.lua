--- mascon.optim: optimizers and schedules of their learning rates.

local adam = require "mascon.optim.adam"
local options = require "mascon.options"

return options.name_nearest("optim", {
  SGD = require "mascon.optim.sgd",
  Adam = adam.Adam,
  AdamW = adam.AdamW,
  RMSprop = require "mascon.optim.rmsprop",
  lr_scheduler = require "mascon.optim.lr_scheduler",
})
