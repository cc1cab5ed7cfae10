--- Values and gradients against PyTorch's, from the golden files that scripts/golden/cut.py cut.
-- Every case runs in float64, in float32, and in float32 on the reference kernels. Inputs are exact
-- in float32, so the wanted values are the same for all. Training and optimizers follow PyTorch
-- step by step.

local mascon = require "mascon"
local layer = require "mascon.ffi"
local op = require "mascon.op"
local methods = require "mascon.tensor".methods
local read = require "mascon.tensor".read

local C = layer.C
local FAMILIES = { "elementwise", "activations", "reductions", "layers", "normalisation",
  "losses", "rearranging" }
local WAYS = {
  { dtype = "float64", tolerance = 1e-9 },
  { dtype = "float32", tolerance = 1e-5 },
  { dtype = "float32", tolerance = 1e-5, reference = true },
}

--- The tensors of a file and its information.
local function open(family)
  return mascon.load("spec/golden/" .. family .. ".safetensors")
end

local function description(info, key)
  return assert(loadstring(info.metadata[key], "=" .. key))()
end

local function with_kernels(reference, fn, ...)
  C.mascon_testing_reference(reference and 1 or 0)
  local results = { pcall(fn, ...) }
  C.mascon_testing_reference(0)
  if not results[1] then
    error(results[2], 0)
  end
  return unpack(results, 2)
end

-- Comparing --------------------------------------------------------------------------------------

--- The median magnitude: what an element that is small by cancellation is measured by.
local function typical(values, n)
  local list = {}
  for i = 0, n - 1 do
    local v = math.abs(values[i])
    if v < math.huge then
      list[#list + 1] = v
    end
  end
  table.sort(list)
  return list[math.ceil(#list / 2)] or 0
end

--- Fails unless shape and every element agree; a tenth is the smallest scale of an element, as
--- inputs and weights of the loss are of the order of 1.
local function compare(got, want, tolerance, what)
  assert.same(want.shape, got.shape, what .. ": shape")
  local x, n = read(got, "golden")
  local y = read(want, "golden")
  local scale = math.max(typical(y, n), 0.1)
  for i = 0, n - 1 do
    local p, q = x[i], y[i]
    if p ~= q and not (p ~= p and q ~= q) then
      local close = math.abs(p - q) <= tolerance * (math.abs(q) + scale)
      if not close then -- also where one of them is NaN
        error(("%s: element %d is %.17g, PyTorch has %.17g"):format(what, i + 1, p, q), 0)
      end
    end
  end
end

-- Cases ------------------------------------------------------------------------------------------

--- The weight of each element in the loss, as cut.py has it.
local function loss_weights(y)
  local list = {}
  for i = 1, y:numel() do
    list[i] = (7 * (i - 1) % 13 - 6) / 4 + 0.125
  end
  return mascon.tensor(list, { dtype = y.dtype }):reshape(y.shape)
end

local function make_argument(tensors, a, way, asked)
  if type(a) ~= "table" then
    return a
  elseif a.none then
    return nil
  elseif a.list then
    local list = {}
    for i, v in ipairs(a.list) do
      list[i] = make_argument(tensors, v, way, asked)
    end
    return list
  end
  local t = tensors[a.t]
  t = a.d == "float64" and t:to(way.dtype):clone() or t
  if a.g then
    t:requires_grad_(true)
    asked[#asked + 1] = { t = t, want = tensors[a.g], at = #asked + 1 }
  end
  return t
end

--- The Lua function of a case: a method, or else of the module.
local function find(name)
  if name == "where" then -- as a method it takes its tensors in another order
    return mascon.where
  end
  return methods[name] or rawget(mascon, name) or mascon.nn.functional[name]
end

local function run_case(tensors, case, way)
  local args, asked, n = {}, {}, #case.args
  for i = 1, n do
    args[i] = make_argument(tensors, case.args[i], way, asked)
  end
  local given = {}
  for key, v in pairs(case.options) do
    given[key] = v
  end
  if case.creates then
    local d = case.outs[1].d
    given.dtype = d == "float64" and way.dtype or d
  end
  if next(given) then
    n = n + 1
    args[n] = given
  end
  local outs = { find(case.op)(unpack(args, 1, n)) }
  assert.equal(#case.outs, #outs, "number of outputs")
  local loss
  for i, want in ipairs(case.outs) do
    local y = outs[i]
    assert.equal(want.d == "float64" and way.dtype or want.d, y.dtype)
    compare(y, tensors[want.t], way.tolerance, ("output %d in %s"):format(i, way.dtype))
    if y.requires_grad then
      local part = (y * loss_weights(y)):sum()
      loss = loss and loss + part or part
    end
  end
  if loss then
    loss:backward()
  end
  for _, a in ipairs(asked) do
    local what = ("gradient %d in %s"):format(a.at, way.dtype)
    compare(a.t.grad or mascon.zeros_like(a.t), a.want, way.tolerance, what)
  end
end

describe("golden", function()
  for _, family in ipairs(FAMILIES) do
    describe(family, function()
      local tensors, info = open(family)
      for _, case in ipairs(description(info, "cases")) do
        it(("%s as in %s"):format(case.op, case.from), function()
          for _, way in ipairs(WAYS) do
            with_kernels(way.reference, run_case, tensors, case, way)
          end
        end)
      end
    end)
  end
end)

-- Optimizers and training ------------------------------------------------------------------------

--- AdamW has no class of its own here; the op does its step.
local function step_adamw(options)
  local m, v, largest, count
  return function(p, g)
    count = (count or 0) + 1
    m = m or mascon.zeros_like(p)
    v = v or mascon.zeros_like(p)
    largest = options.amsgrad and (largest or mascon.zeros_like(p)) or nil
    op.run_list("adam", { p, g, m, v, largest }, {
      lr = options.lr, weight_decay = options.weight_decay, amsgrad = options.amsgrad or false,
      beta1 = options.betas and options.betas[1] or 0.9,
      beta2 = options.betas and options.betas[2] or 0.999, decoupled = true, step = count,
    })
  end
end

--- A step of an optimizer on one parameter: the gradient of sum(p * g) is g.
local function step_by_class(name, p, options)
  local optimizer = mascon.optim[name]({ p }, options)
  return function(_, g)
    optimizer:zero_grad();
    (p * g):sum():backward()
    optimizer:step()
  end
end

describe("golden training", function()
  local tensors, info = open "training"

  for index, case in ipairs(description(info, "optimizers")) do
    it(("takes the steps of %s %d"):format(case.name, index), function()
      for _, way in ipairs(WAYS) do
        with_kernels(way.reference, function()
          local p = tensors[case.start]:to(way.dtype):clone()
          local grads, path = tensors[case.grads]:to(way.dtype), tensors[case.path]
          local step
          if case.name == "AdamW" then
            step = step_adamw(case.options)
          else
            p:requires_grad_(true)
            step = step_by_class(case.name, p, case.options)
          end
          for i = 1, grads:size(1) do
            step(p, grads[i])
            compare(p:detach(), path[i], 10 * way.tolerance, ("step %d in %s"):format(i, way.dtype))
          end
        end)
      end
    end)
  end

  local training = description(info, "training")

  local function build()
    local nn = mascon.nn
    local Net = nn.Module:extend "SimpleCNN"
    function Net:init()
      self.conv_block_1 = nn.Sequential(
        nn.Conv2d(3, training.hidden, { kernel_size = 3, padding = 1 }), nn.ReLU(),
        nn.Conv2d(training.hidden, training.hidden, { kernel_size = 3, padding = 1 }), nn.ReLU(),
        nn.MaxPool2d(2))
      self.classifier = nn.Sequential(nn.Flatten(),
        nn.Linear(training.hidden * (training.side / 2) ^ 2, training.classes))
    end
    function Net:forward(x)
      return self.classifier(self.conv_block_1(x))
    end
    return Net()
  end

  local function train(run, way)
    local net = build():to(way.dtype)
    local initial = {}
    for name, t in pairs(training.initial) do
      initial[name] = tensors[t]
    end
    net:load_state_dict(initial)
    local pictures, labels = tensors[training.pictures]:to(way.dtype), tensors[training.labels]
    local loss_fn = mascon.nn.CrossEntropyLoss()
    local optimizer = mascon.optim[run.name](net:parameters(), run.options)
    local losses = tensors[run.losses]
    -- rounding grows from step to step
    local tolerance = way.dtype == "float64" and way.tolerance or 1e-4
    for i = 1, losses:size(1) do
      local batch = (i - 1) % 2 + 1
      local loss = loss_fn(net(pictures[batch]), labels[batch])
      compare(loss:detach(), losses[i], tolerance, ("loss %d in %s"):format(i, way.dtype))
      optimizer:zero_grad()
      loss:backward()
      optimizer:step()
    end
    local final = net:state_dict()
    for name, t in pairs(run.final) do
      compare(final[name]:detach(), tensors[t], tolerance, name .. " in " .. way.dtype)
    end
  end

  for index, run in ipairs(training.runs) do
    it(("trains SimpleCNN with %s %d"):format(run.name, index), function()
      for _, way in ipairs(WAYS) do
        with_kernels(way.reference, train, run, way)
      end
    end)
  end
end)
