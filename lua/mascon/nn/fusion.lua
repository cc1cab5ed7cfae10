--- Fusion: runs of a Sequential's children that one call computes.
-- A pattern names the classes of neighbouring children and the function that runs them as one. What a
-- script sees does not change: children keep their names, values and gradients are those of the children
-- one by one, and where a fused call fails, the children run one by one and raise the error. Only plain
-- layers take part: exactly the class named, without hooks and without a forward of the object's own.

local activations = require "mascon.nn.activations"
local layer = require "mascon.ffi"
local layers = require "mascon.nn.layers"
local module = require "mascon.nn.module"
local normalisation = require "mascon.nn.normalisation"
local op = require "mascon.op"
local pictures = require "mascon.nn.pictures"

local state, is_tensor, books_of = layer.state, layer.is_tensor, module.books_of
local band = bit.band

local GRAD, ANOMALY = 1, 4 -- ORDER: the flags of mascon_call
local MOST = 5 -- children of a pattern

local M = {}

-- Patterns ----------------------------------------------------------------------------------------------

-- Each class with the forward it had when it was made: a script may put another one in its place.
local known = {}
for _, part in ipairs { layers, activations, normalisation, pictures } do
  for name, class in pairs(part) do
    if type(class) == "table" and rawget(class, "forward") then
      known[name] = { class = class, forward = class.forward }
    end
  end
end

local patterns = {} -- longest first, then as registered
local version = 0   -- of the patterns and of the switch; part of what a plan depends on
local enabled = not (os.getenv "MASCON_DEBUG" or ""):find("nofusion", 1, true)

---@class mascon.nn.Pattern
---@field when? fun(grad: boolean, ...: mascon.nn.Module): boolean asked when a Sequential is planned; may
---  depend on the children's classes, `training` and `frozen` and on whether recording is on, nothing else
---@field run fun(x: mascon.Tensor, ...: mascon.nn.Module): mascon.Tensor? what the children make of x;
---  nil: not this time (then nothing may have changed), and the children run one by one

--- Adds a pattern: {"Conv2d", "ReLU", when =, run =}.
---@param pattern mascon.nn.Pattern
function M.register(pattern)
  assert(#pattern >= 2 and #pattern <= MOST and pattern.run)
  for _, name in ipairs(pattern) do
    assert(known[name], name)
  end
  local at = 1
  while patterns[at] and #patterns[at] >= #pattern do
    at = at + 1
  end
  table.insert(patterns, at, pattern)
  version = version + 1
end

--- Switches fusion on or off for this Lua state, for tests; returns what it was.
---@param on boolean
function M.enable(on)
  local before = enabled
  enabled = on
  version = version + 1
  return before
end

-- Plans -------------------------------------------------------------------------------------------------

--- Whether a child is a plain layer of this class.
local function is_plain(child, name)
  local books, entry = books_of(child), known[name]
  return books.class == entry.class and entry.class.forward == entry.forward and not books.hooks
    and rawget(books.values, "forward") == nil
end

local function matches(pattern, self, first, grad)
  for k, name in ipairs(pattern) do
    local child = self[first + k - 1]
    if child == nil or not is_plain(child, name) then
      return false
    end
  end
  return not pattern.when or pattern.when(grad, unpack(self, first, first + #pattern - 1))
end

local weak = { __mode = "v" } -- a plan keeps no child alive

--- What the children of a Sequential were when it was planned, and the pattern that begins at each.
local function make(self, grad)
  local plan = {
    version = version, grad = grad, count = #self, any = false, steps = {}, training = {}, frozen = {},
    hooked = {}, forward = {}, children = setmetatable({}, weak), books = setmetatable({}, weak),
  }
  for i = 1, plan.count do
    local books = books_of(self[i])
    if not books then -- no module: its call will say so
      return nil
    end
    plan.children[i], plan.books[i] = self[i], books
    plan.training[i], plan.frozen[i] = books.values.training, rawget(books.values, "frozen") or false
    plan.hooked[i] = books.hooks ~= nil
    plan.forward[i] = rawget(books.values, "forward") or false
    plan.steps[i] = false
  end
  for i = 1, enabled and plan.count or 0 do -- one may begin inside another, which may give up
    for _, pattern in ipairs(patterns) do
      if matches(pattern, self, i, grad) then
        plan.steps[i], plan.any = pattern, true
        break
      end
    end
  end
  return plan
end

local function is_current(plan, self, grad)
  if plan.version ~= version or plan.grad ~= grad or self[plan.count + 1] ~= nil then
    return false
  end
  for i = 1, plan.count do
    local books = plan.books[i]
    if self[i] ~= plan.children[i] or books.values.training ~= plan.training[i]
      or (rawget(books.values, "frozen") or false) ~= plan.frozen[i]
      or (books.hooks ~= nil) ~= plan.hooked[i]
      or (rawget(books.values, "forward") or false) ~= plan.forward[i] then
      return false
    end
  end
  return true
end

--- The patterns that begin at the children of a Sequential, false where none does; nil: none at all.
---@param self mascon.nn.Sequential
---@param books table of self
---@return table?
function M.steps(self, books)
  if band(state.flags, ANOMALY) ~= 0 then -- its errors name the layers one by one
    return nil
  end
  local grad = band(state.flags, GRAD) ~= 0
  local plan = books.fusion
  if not plan or not is_current(plan, self, grad) then
    plan = make(self, grad)
    books.fusion = plan
  end
  return plan and plan.any and plan.steps or nil
end

-- Calls -------------------------------------------------------------------------------------------------

-- Fused calls by the prepared call of the convolution, which stands for its options.
local made = setmetatable({}, { __mode = "k" })

--- The call of a fused op with the options of a convolution and some of its own, prepared once. It
--- returns nil where the op refuses.
---@param name string op
---@param conv mascon.nn.Conv2d
---@param key number|string stands for the op and what `more` returns
---@param more? fun(...): table options beside the convolution's; called with the other arguments
---@return fun(x: mascon.Tensor, ...: mascon.Tensor?): mascon.Tensor?
function M.conv_call(name, conv, key, more, ...)
  local run = conv.run or conv:call()
  local calls = made[run]
  if not calls then
    calls = {}
    made[run] = calls
  end
  local call = calls[key]
  if not call then
    local given = more and more(...) or {}
    given.stride, given.padding = conv.stride, conv.padding
    given.dilation, given.groups = conv.dilation, conv.groups
    call = op.prepare(name, given, true)
    calls[key] = call
  end
  return call
end

local function relu_run(x, conv)
  return M.conv_call("conv2d_relu", conv, "relu")(x, conv.weight, conv.bias)
end

local function norm_options(norm, relu)
  return { eps = norm.eps, relu = relu }
end

local function training_options(norm, relu)
  return { eps = norm.eps, relu = relu, training = true, momentum = norm.momentum or 0 }
end

--- Whether a batch norm layer now normalises by the batch's own statistics, at a constant momentum.
function M.uses_batch(norm)
  return not norm.running_mean or (norm.training and not norm.frozen and norm.momentum ~= false)
end

--- Whether a batch norm takes its running statistics.
local function is_fixed(norm)
  return norm.running_mean ~= nil and (not norm.training or norm.frozen == true)
end

--- Whether the gradient of one of the two layers is to be recorded. (That x wants one, the call sees.)
local function wants_gradient(conv, norm)
  local weight = norm.weight
  return band(state.flags, GRAD) ~= 0
    and (conv.weight.requires_grad or weight ~= nil and weight.requires_grad)
end

--- conv_norm by the statistics of the convolution's result.
local function conv_norm_of_batch(x, conv, norm, relu, residual)
  if wants_gradient(conv, norm) or conv.out_channels ~= norm.num_features or not is_tensor(x)
    or x.device ~= "cpu" then
    return nil
  end
  local mean = norm.running_mean
  local key = (relu and "relu " or "none ") .. norm.eps .. " " .. (norm.momentum or 0)
  local call = M.conv_call("conv2d_norm", conv, key, training_options, norm, relu)
  local y = call(x, conv.weight, conv.bias, mean, norm.running_var, norm.weight, norm.bias, residual)
  if y and mean then
    norm.num_batches_tracked:add_(1)
  end
  return y
end

--- A convolution and the batch norm behind it with what may follow: the addition of `residual`, relu. nil
--- where one call cannot do that (a gradient is wanted, say).
---@param x mascon.Tensor
---@param conv mascon.nn.Conv2d
---@param norm mascon.nn.Module BatchNorm2d
---@param relu boolean
---@param residual? mascon.Tensor
---@return mascon.Tensor?
function M.conv_norm(x, conv, norm, relu, residual)
  if not is_fixed(norm) then
    return M.uses_batch(norm) and conv_norm_of_batch(x, conv, norm, relu, residual) or nil
  end
  local call = M.conv_call("conv2d_norm", conv, relu and norm.eps or -1 - norm.eps,
    norm_options, norm, relu)
  return call(x, conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.weight, norm.bias,
    residual)
end

--- Whether conv_norm may stand for these children: fusion is on, they are plain layers, and no gradient of
--- a norm by the batch's statistics is wanted.
---@param relu? mascon.nn.Module
function M.is_conv_norm(conv, norm, relu)
  return enabled and band(state.flags, ANOMALY) == 0 and is_plain(conv, "Conv2d")
    and is_plain(norm, "BatchNorm2d") and (is_fixed(norm) or not wants_gradient(conv, norm))
    and (relu == nil or is_plain(relu, "ReLU"))
end

M.register { "Conv2d", "ReLU", run = relu_run }

M.register {
  "Conv2d", "BatchNorm2d", "ReLU",
  run = function(x, conv, norm) return M.conv_norm(x, conv, norm, true) end,
}

M.register {
  "Conv2d", "BatchNorm2d",
  run = function(x, conv, norm) return M.conv_norm(x, conv, norm, false) end,
}

return M
