--- mascon: a deep learning framework for Lua and C.
-- `require "mascon"` returns one table. It sets no global, prints nothing, starts no thread and opens no
-- GPU. Parts are loaded when they are first used.

local layer = require "mascon.ffi"
local autograd = require "mascon.autograd"
local create = require "mascon.create"
local machine = require "mascon.machine"
local op = require "mascon.op"
local options = require "mascon.options"
local output = require "mascon.output"
local random = require "mascon.random"
local tensor = require "mascon.tensor"

---@class mascon
local mascon = {
  version = layer.string(layer.C.mascon_version()),
  stack = tensor.stack,
  where = tensor.where,
  allclose = tensor.allclose,
  is_tensor = layer.is_tensor,
  manual_seed = random.manual_seed,
  set_output = output.set_output,
}

for _, name in ipairs {
  "tensor", "zeros", "ones", "full", "empty", "eye", "range", "arange", "linspace", "rand", "randn",
  "randint", "randperm", "zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like",
  "from_blob",
} do
  mascon[name] = create[name]
end

for _, name in ipairs {
  "no_grad", "enable_grad", "inference_mode", "is_grad_enabled", "detect_anomaly", "scope", "keep",
  "grad", "Function", "autocast", "is_autocast_enabled",
} do
  mascon[name] = autograd[name]
end

for name, value in pairs(machine) do
  mascon[name] = value
end

-- Parts that are loaded at first use: module, and the field of it where it is not the whole.
local parts = {
  nn = { "mascon.nn" }, optim = { "mascon.optim" }, data = { "mascon.data" },
  datasets = { "mascon.datasets" }, transforms = { "mascon.transforms" },
  metrics = { "mascon.metrics" }, plot = { "mascon.plot" }, tqdm = { "mascon.tqdm" },
  save = { "mascon.io", "save" }, load = { "mascon.io", "load" }, help = { "mascon.help", "help" },
  EarlyStopping = { "mascon.early_stopping" }, checkpoint = { "mascon.checkpoint" },
  save_checkpoint = { "mascon.checkpoint", "save" }, load_checkpoint = { "mascon.checkpoint", "load" },
  image = { "mascon.image" }, models = { "mascon.models" },
  features = { "mascon.features", "features" },
  cached = { "mascon.shared", "cached" }, from_shared = { "mascon.shared", "from_shared" },
  async = { "mascon.async", "async" }, compile = { "mascon.compile", "compile" },
  memory = { "mascon.memory", "memory" }, profile = { "mascon.profile", "profile" },
  utils = { "mascon.utils" },
  save_model = { "mascon.saved_model", "save" }, load_model = { "mascon.saved_model", "load" },
}

-- A server whose workers are processes has one process per core already.
if rawget(_G, "ngx") and not os.getenv "MASCON_THREADS" then
  machine.set_num_threads(1)
end

local method_functions = { "bmm", "outer", "split", "chunk" }
for _, name in ipairs(method_functions) do
  mascon[name] = tensor.methods[name]
end

local function names()
  local list = {}
  for name in pairs(mascon) do
    list[#list + 1] = name
  end
  for name in pairs(parts) do
    list[#list + 1] = name
  end
  for _, row in ipairs(op.list()) do
    list[#list + 1] = op.find(row.name) and row.name
  end
  return list
end

setmetatable(mascon, {
  parts = parts, -- for completion
  __index = function(self, name)
    local part = parts[name]
    local value
    if part then
      value = require(part[1])
      if part[2] then
        value = value[part[2]]
      end
    elseif type(name) == "string" then
      value = op.find(name)
    end
    if value == nil then
      if type(name) ~= "string" or name:sub(1, 1) == "_" then
        return nil
      end
      local nearest = options.nearest(name, names())
      options.fail("mascon", ('there is no mascon.%s'):format(name),
        nearest and ("did you mean mascon.%s?"):format(nearest))
    end
    rawset(self, name, value)
    return value
  end,
})

return mascon
