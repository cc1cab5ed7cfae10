--- For the documents' scripts: a CIFAR-10 of drawn pictures, and no drawn set above 320 pictures, so that ten
--- epochs take seconds. Loaded by `mascon -l` before a page.

local datasets = require("mascon").datasets

local drawn = datasets.FakeData
local function small(options)
  local o = {}
  for k, v in pairs(options) do
    o[k] = v
  end
  o.size = math.min(o.size or 320, 320)
  return drawn(o)
end

rawset(datasets, "FakeData", small)
rawset(datasets, "CIFAR10", function(options)
  return small { transform = options.transform }
end)
