--- mascon.optim.lr_scheduler: schedules of the learning rate.
-- S(optimizer, {options}) sets the first rate; scheduler:step(), after optimizer:step(), the next one.
-- All counts are numbers of such steps: epochs where a script steps once an epoch. Most schedules change
-- the rate that the groups have, as PyTorch's do, so that two of them can work on one optimizer.

local layer = require "mascon.ffi"
local optimizers = require "mascon.optim.optimizer"
local options = require "mascon.options"
local recording = require "mascon.recording"

-- Older releases of LuaJIT for arm64 compile a * b + c as one instruction with one rounding, which the
-- interpreter does not have: a resumed run, interpreted where the first one was compiled, would have
-- other rates.
if jit.arch == "arm64" then
  jit.off(true, true)
end

---@class mascon.optim.Scheduler
---@field optimizer mascon.optim.Optimizer
---@field steps integer steps taken
---@field base_lrs number[] the rates of the groups before any schedule
local Scheduler = { class_name = "Scheduler" }

-- What all schedules share --------------------------------------------------------------------------

local function check_object(self)
  if type(self) ~= "table" or not optimizers.is_optimizer(rawget(self, "optimizer")) then
    options.no_object "a scheduler"
  end
end

--- The rate of group g before any schedule; a group that was added later begins with its own.
local function base_lr(self, g)
  local group = self.optimizer.param_groups[g]
  group.initial_lr = group.initial_lr or group.lr
  self.base_lrs[g] = self.base_lrs[g] or group.initial_lr
  return self.base_lrs[g]
end

local function note(self)
  for g, group in ipairs(self.optimizer.param_groups) do
    self.last_lr[g] = group.lr
  end
end

--- Sets the rates for the number of steps taken. `rate(self, g, lr)` is the class's; `first` says that the
--- schedule begins.
local function update(self, first)
  recording.refuse(self.class_name, "a step of a scheduler", "step it outside of the compiled function")
  local rates = {}
  for g, group in ipairs(self.optimizer.param_groups) do
    local base = base_lr(self, g)
    local rate = self:rate(g, group.lr, first)
    if rate < 0 and rate > -1e-13 * math.max(1, base) then -- a product of many steps that ends at 0, but for rounding
      rate = 0
    end
    rates[g] = rate
  end
  for g, group in ipairs(self.optimizer.param_groups) do
    group.lr = rates[g]
  end
  note(self)
end

--- Sets the rates for one more step.
function Scheduler:step()
  check_object(self)
  self.steps = self.steps + 1
  update(self, false)
end

--- The rates of the groups that the last step set.
---@return number[]
function Scheduler:get_last_lr()
  check_object(self)
  return { unpack(self.last_lr) }
end

--- Begins anew at the base rates, for SequentialLR.
local function restart(self)
  self.steps = 0
  for g, group in ipairs(self.optimizer.param_groups) do
    group.lr = base_lr(self, g)
  end
  update(self, true)
end

local function copy(v)
  if type(v) ~= "table" then
    return v
  end
  local t = {}
  for k, item in pairs(v) do
    t[k] = copy(item)
  end
  return t
end

--- Position and options, as plain values. Functions are left out: the script brings them again.
---@return table
function Scheduler:state_dict()
  check_object(self)
  local sd = { name = self.class_name, steps = self.steps, base_lrs = copy(self.base_lrs),
    last_lr = copy(self.last_lr), options = {} }
  for _, field in ipairs(self.spec) do
    if not field.transient then
      sd.options[field[1]] = copy(self.options[field[1]])
    end
  end
  for _, name in ipairs(self.counters or {}) do
    sd[name] = self[name]
  end
  return sd
end

local function check_list(self, sd, name)
  local list = sd[name]
  if type(list) ~= "table" then
    options.fail(self.class_name, ("%s of the state dict is %s; expected a list of numbers")
      :format(name, options.show(list)))
  end
  for _, v in ipairs(list) do
    options.check(self.class_name, { name, nil, "number" }, v)
  end
end

--- Checks a state dict; nothing is changed yet.
---@param sd table as state_dict gives
---@return fun() takes it over
function Scheduler:prepare_state_dict(sd)
  local name = self.class_name
  if type(sd) ~= "table" or type(sd.options) ~= "table" then
    options.fail(name, "load_state_dict takes what state_dict gave")
  elseif sd.name ~= name then
    options.fail(name, ("the state dict is of %s"):format(tostring(sd.name)))
  end
  options.check(name, { "steps", nil, "integer", min = -1 }, sd.steps)
  check_list(self, sd, "base_lrs")
  check_list(self, sd, "last_lr")
  for _, counter in ipairs(self.counters or {}) do
    options.check(name, { counter, nil, "number" }, sd[counter])
  end
  local given = copy(sd.options)
  for _, field in ipairs(self.spec) do
    if field.transient then
      given[field[1]] = self.options[field[1]]
    end
  end
  local read = options.read(name, given, self.spec)
  return function()
    self.steps, self.base_lrs, self.last_lr = sd.steps, copy(sd.base_lrs), copy(sd.last_lr)
    self.options = read
    for _, counter in ipairs(self.counters or {}) do
      self[counter] = sd[counter]
    end
  end
end

--- Takes over the state of another scheduler of its kind. The rates themselves are the optimizer's state.
---@param sd table
function Scheduler:load_state_dict(sd)
  check_object(self)
  self:prepare_state_dict(sd)()
end

--- Makes the class and returns its constructor.
---@param class table class_name, spec, rate(self, g, lr, first), check?(self), setup?(self)
local function define(class)
  setmetatable(class, { __index = Scheduler })
  local mt = { __index = class, __tostring = function(self)
    return ("%s (after %d steps: lr = %s)"):format(self.class_name, self.steps,
      table.concat(self.last_lr, ", "))
  end }
  return function(optimizer, given)
    if not optimizers.is_optimizer(optimizer) then
      options.fail(class.class_name, ("argument 1 is %s; expected an optimizer"):format(
        options.show(optimizer)))
    end
    local self = setmetatable({ optimizer = optimizer, steps = 0, base_lrs = {}, last_lr = {},
      options = options.read(class.class_name, given, class.spec) }, mt)
    if self.check then
      self:check()
    end
    if self.setup then
      self:setup()
    else
      update(self, true)
    end
    return self
  end
end

--- Checks an option that is a number or a list of them, one for each group; gives the list.
local function per_group(self, name)
  local v, n = self.options[name], #self.optimizer.param_groups
  local list = v
  if type(v) == "table" then
    if #v ~= n then
      options.fail(self.class_name, ("%s has %d values; the optimizer has %d groups"):format(name, #v, n))
    end
  else
    list = {}
    for g = 1, n do
      list[g] = v
    end
  end
  for _, item in ipairs(list) do
    options.check(self.class_name, { name, nil, "number" }, item)
  end
  return list
end

--- Checks a list of numbers of steps that does not fall.
local function check_milestones(self, list)
  for i, m in ipairs(list) do
    options.check(self.class_name, { ("milestones[%d]"):format(i), nil, "integer", min = 0 }, m)
    if i > 1 and m < list[i - 1] then
      options.fail(self.class_name, ("milestones[%d] is %d, after %d; they must not fall"):format(i, m,
        list[i - 1]))
    end
  end
end

--- How many milestones lie at or before a step.
local function passed(milestones, step)
  local n = 0
  while milestones[n + 1] and milestones[n + 1] <= step do
    n = n + 1
  end
  return n
end

-- Schedules -----------------------------------------------------------------------------------------

local M = {}
local gamma = { "gamma", 0.1, "number" }

--- StepLR(optimizer, {step_size =, gamma = 0.1}): times gamma every step_size steps.
M.StepLR = define {
  class_name = "StepLR",
  spec = { { "step_size", options.required, "integer", min = 1 }, gamma },
  rate = function(self, _, lr, first)
    return not first and self.steps % self.options.step_size == 0 and lr * self.options.gamma or lr
  end,
}

--- MultiStepLR(optimizer, {milestones = {30, 80}, gamma = 0.1}): times gamma at each milestone.
M.MultiStepLR = define {
  class_name = "MultiStepLR",
  spec = { { "milestones", options.required, "table" }, gamma },
  check = function(self)
    check_milestones(self, self.options.milestones)
  end,
  rate = function(self, _, lr)
    local list = self.options.milestones
    local times = passed(list, self.steps) - passed(list, self.steps - 1)
    return times > 0 and lr * self.options.gamma ^ times or lr
  end,
}

--- ExponentialLR(optimizer, {gamma =}): times gamma at every step.
M.ExponentialLR = define {
  class_name = "ExponentialLR",
  spec = { { "gamma", options.required, "number" } },
  rate = function(self, _, lr, first)
    return first and lr or lr * self.options.gamma
  end,
}

--- LinearLR(optimizer, {start_factor = 1 / 3, end_factor = 1, total_iters = 5}): from one share of the
--- rate to another in total_iters steps.
M.LinearLR = define {
  class_name = "LinearLR",
  spec = {
    { "start_factor", 1 / 3, "number" }, { "end_factor", 1, "number", min = 0, max = 1 },
    { "total_iters", 5, "integer", min = 1 },
  },
  check = function(self)
    local start = self.options.start_factor
    if not (start > 0 and start <= 1) then
      options.fail("LinearLR", ("start_factor is %s; must be above 0 and at most 1"):format(
        options.show(start)))
    end
  end,
  rate = function(self, _, lr, first)
    local o = self.options
    if first then
      return lr * o.start_factor
    elseif self.steps > o.total_iters then
      return lr
    end
    local way = o.end_factor - o.start_factor
    return lr * (1 + way / (o.total_iters * o.start_factor + (self.steps - 1) * way))
  end,
}

--- CosineAnnealingLR(optimizer, {T_max =, eta_min = 0}): along half a cosine wave to eta_min in T_max
--- steps, and back.
M.CosineAnnealingLR = define {
  class_name = "CosineAnnealingLR",
  spec = { { "T_max", options.required, "integer", min = 1 }, { "eta_min", 0, "number" } },
  rate = function(self, g, lr, first)
    local t, low, at = self.options.T_max, self.options.eta_min, self.steps
    if first then
      return lr
    elseif (at - 1 - t) % (2 * t) == 0 then -- the step before was at the low point, where shares end
      return lr + (self.base_lrs[g] - low) * (1 - math.cos(math.pi / t)) / 2
    end
    return (1 + math.cos(math.pi * at / t)) / (1 + math.cos(math.pi * (at - 1) / t)) * (lr - low) + low
  end,
}

--- LambdaLR(optimizer, {lr_lambda = fn or a list of them, one for each group}): the base rate times
--- fn(steps taken, from 0).
M.LambdaLR = define {
  class_name = "LambdaLR",
  spec = { { "lr_lambda", options.required, "any", transient = true } },
  check = function(self)
    local list, n = self.options.lr_lambda, #self.optimizer.param_groups
    if type(list) == "table" and getmetatable(list) == nil then
      if #list ~= n then
        options.fail("LambdaLR", ("lr_lambda has %d functions; the optimizer has %d groups"):format(#list, n))
      end
      for i, f in ipairs(list) do
        options.check("LambdaLR", { ("lr_lambda[%d]"):format(i), nil, "function" }, f)
      end
    else
      options.check("LambdaLR", { "lr_lambda", nil, "function" }, list)
    end
  end,
  rate = function(self, g)
    local f = self.options.lr_lambda
    if type(f) == "table" and getmetatable(f) == nil then
      f = f[g] or options.fail("LambdaLR", ("there is no lr_lambda for group %d"):format(g))
    end
    local share = f(self.steps)
    options.check("LambdaLR", { "the value of lr_lambda", nil, "number" }, share)
    return self.base_lrs[g] * share
  end,
}

-- One cycle -----------------------------------------------------------------------------------------

local anneal = {
  cos = function(from, to, share)
    return to + (from - to) / 2 * (math.cos(math.pi * share) + 1)
  end,
  linear = function(from, to, share)
    return (to - from) * share + from
  end,
}

--- The phases of the cycle: last step, rates and momenta at both ends, by name.
local function phases(o, total)
  local up = { o.pct_start * total - 1, "initial", "max", "max", "base" }
  if o.three_phase then
    return { up, { 2 * o.pct_start * total - 2, "max", "initial", "base", "max" },
      { total - 1, "initial", "min", "max", "max" } }
  end
  return { up, { total - 1, "max", "min", "base", "max" } }
end

local OneCycleLR = {
  class_name = "OneCycleLR",
  spec = {
    { "max_lr", options.required, "number|table" }, { "total_steps", nil, "integer", min = 1 },
    { "epochs", nil, "integer", min = 1 }, { "steps_per_epoch", nil, "integer", min = 1 },
    { "pct_start", 0.3, "number", min = 0, max = 1 },
    { "anneal_strategy", "cos", "string", choices = { "cos", "linear" } },
    { "cycle_momentum", true, "boolean" }, { "base_momentum", 0.85, "number|table" },
    { "max_momentum", 0.95, "number|table" }, { "div_factor", 25, "number" },
    { "final_div_factor", 1e4, "number" }, { "three_phase", false, "boolean" },
  },
}

function OneCycleLR:check()
  local o = self.options
  if not o.total_steps and not (o.epochs and o.steps_per_epoch) then
    options.fail("OneCycleLR", "total_steps is missing, or both epochs and steps_per_epoch")
  elseif o.total_steps and (o.epochs or o.steps_per_epoch) then
    options.fail("OneCycleLR", "total_steps and epochs or steps_per_epoch are both given")
  end
  per_group(self, "max_lr")
  per_group(self, "base_momentum")
  per_group(self, "max_momentum")
end

local function set_momentum(group, v)
  if group.betas then
    group.betas = { v, group.betas[2] } -- a new table: groups may share the old one
  else
    group.momentum = v
  end
end

function OneCycleLR:setup()
  local o = self.options
  local largest = per_group(self, "max_lr")
  for g, group in ipairs(self.optimizer.param_groups) do
    group.initial_lr = largest[g] / o.div_factor
    self.base_lrs[g] = group.initial_lr
  end
  update(self, true)
end

function OneCycleLR:rate(g)
  local o = self.options
  local total = o.total_steps or o.epochs * o.steps_per_epoch
  if self.steps > total then
    self.steps = self.steps - 1
    options.fail("OneCycleLR", ("step %d of a cycle of %d steps"):format(self.steps + 1, total))
  end
  local lr = { initial = self.base_lrs[g], max = per_group(self, "max_lr")[g],
    min = self.base_lrs[g] / o.final_div_factor }
  local momentum = { base = per_group(self, "base_momentum")[g], max = per_group(self, "max_momentum")[g] }
  local list, from = phases(o, total), 0
  for i, phase in ipairs(list) do
    local to = phase[1]
    if self.steps <= to or i == #list then
      local share = to == from and 1 or (self.steps - from) / (to - from)
      local curve = anneal[o.anneal_strategy]
      if o.cycle_momentum then
        set_momentum(self.optimizer.param_groups[g], curve(momentum[phase[4]], momentum[phase[5]], share))
      end
      return curve(lr[phase[2]], lr[phase[3]], share)
    end
    from = to
  end
end

--- OneCycleLR(optimizer, {max_lr =, total_steps = (or epochs =, steps_per_epoch =), pct_start = 0.3,
--- anneal_strategy = "cos", cycle_momentum = true, base_momentum = 0.85, max_momentum = 0.95,
--- div_factor = 25, final_div_factor = 1e4, three_phase = false}): up to max_lr and down to almost
--- nothing, with momentum (or the first of betas) the other way. One step for each batch.
M.OneCycleLR = define(OneCycleLR)

-- By the value that is watched ------------------------------------------------------------------------

local ReduceLROnPlateau = {
  class_name = "ReduceLROnPlateau",
  spec = {
    { "mode", "min", "string", choices = { "min", "max" } }, { "factor", 0.1, "number", min = 0 },
    { "patience", 10, "integer", min = 0 }, { "threshold", 1e-4, "number" },
    { "threshold_mode", "rel", "string", choices = { "rel", "abs" } },
    { "cooldown", 0, "integer", min = 0 }, { "min_lr", 0, "number|table" },
    { "eps", 1e-8, "number", min = 0 },
  },
  counters = { "best", "bad_steps", "cooling" },
}

function ReduceLROnPlateau:check()
  if self.options.factor >= 1 then
    options.fail("ReduceLROnPlateau", ("factor is %s; must be below 1"):format(
      options.show(self.options.factor)))
  end
  per_group(self, "min_lr")
end

function ReduceLROnPlateau:setup()
  self.best = self.options.mode == "min" and math.huge or -math.huge
  self.bad_steps, self.cooling = 0, 0
  for g in ipairs(self.optimizer.param_groups) do
    base_lr(self, g)
  end
  note(self)
end

local function is_better(self, value)
  local o, best = self.options, self.best
  if o.mode == "min" then
    return value < (o.threshold_mode == "rel" and best * (1 - o.threshold) or best - o.threshold)
  end
  return value > (o.threshold_mode == "rel" and best * (1 + o.threshold) or best + o.threshold)
end

--- Notes a value; lowers the rates where it has not improved for more than `patience` steps.
---@param value number|mascon.Tensor
function ReduceLROnPlateau:step(value)
  check_object(self)
  if layer.is_tensor(value) then
    value = value:item()
  end
  options.check("ReduceLROnPlateau", { "the value of step", nil, "any" }, value)
  if type(value) ~= "number" then
    options.fail("ReduceLROnPlateau", ("step takes the value to watch; it is %s"):format(
      options.show(value)), "scheduler:step(validation_loss)")
  end
  local o = self.options
  self.steps = self.steps + 1
  if is_better(self, value) then
    self.best, self.bad_steps = value, 0
  else
    self.bad_steps = self.bad_steps + 1
  end
  if self.cooling > 0 then
    self.cooling = self.cooling - 1
    self.bad_steps = 0
  end
  if self.bad_steps > o.patience then
    local least = per_group(self, "min_lr")
    for g, group in ipairs(self.optimizer.param_groups) do
      local lr = math.max(group.lr * o.factor, least[g])
      if group.lr - lr > o.eps then
        group.lr = lr
      end
    end
    self.cooling, self.bad_steps = o.cooldown, 0
  end
  note(self)
end

--- ReduceLROnPlateau(optimizer, {mode = "min", factor = 0.1, patience = 10, threshold = 1e-4,
--- threshold_mode = "rel", cooldown = 0, min_lr = 0, eps = 1e-8}); scheduler:step(value).
M.ReduceLROnPlateau = define(ReduceLROnPlateau)

-- One after the other ---------------------------------------------------------------------------------

local SequentialLR = {
  class_name = "SequentialLR",
  spec = {
    { "schedulers", options.required, "table", transient = true },
    { "milestones", options.required, "table" },
  },
}

function SequentialLR:check()
  local list, milestones = self.options.schedulers, self.options.milestones
  if #list == 0 then
    options.fail("SequentialLR", "schedulers is empty")
  elseif #milestones ~= #list - 1 then
    options.fail("SequentialLR", ("%d schedulers and %d milestones; expected one milestone fewer than "
      .. "schedulers"):format(#list, #milestones))
  end
  check_milestones(self, milestones)
  for i, s in ipairs(list) do
    if type(s) ~= "table" or not s.rate then
      options.fail("SequentialLR", ("schedulers[%d] is %s; expected a scheduler whose step takes no "
        .. "value"):format(i, type(s) == "table" and s.class_name or options.show(s)))
    elseif s.optimizer ~= self.optimizer then
      options.fail("SequentialLR", ("schedulers[%d] belongs to another optimizer"):format(i))
    end
  end
end

local function current(self)
  return self.options.schedulers[passed(self.options.milestones, self.steps) + 1]
end

--- The schedules were made one after the other, each of which changed the rates: all of that is undone
--- but for the first one's.
function SequentialLR:setup()
  for g, group in ipairs(self.optimizer.param_groups) do
    group.lr = base_lr(self, g)
  end
  for _, s in ipairs(self.options.schedulers) do
    s.steps = -1
  end
  local first = current(self)
  first.steps = 0
  update(first, true)
  note(self)
end

function SequentialLR:step()
  check_object(self)
  self.steps = self.steps + 1
  local milestones, s = self.options.milestones, current(self)
  local at = passed(milestones, self.steps)
  if at > 0 and milestones[at] == self.steps then
    restart(s)
  else
    s:step()
  end
  note(self)
end

function SequentialLR:state_dict()
  local sd = Scheduler.state_dict(self)
  sd.schedulers = {}
  for i, s in ipairs(self.options.schedulers) do
    sd.schedulers[i] = s:state_dict()
  end
  return sd
end

function SequentialLR:prepare_state_dict(sd)
  local finish = { Scheduler.prepare_state_dict(self, sd) }
  local list = self.options.schedulers
  if type(sd.schedulers) ~= "table" or #sd.schedulers ~= #list then
    options.fail("SequentialLR", ("the state dict has %s schedulers, this one has %d"):format(
      type(sd.schedulers) == "table" and #sd.schedulers or "no", #list))
  end
  for i, s in ipairs(list) do
    finish[i + 1] = s:prepare_state_dict(sd.schedulers[i])
  end
  return function()
    for _, apply in ipairs(finish) do
      apply()
    end
  end
end

--- SequentialLR(optimizer, {schedulers = {a, b, ...}, milestones = {...}}): b takes over, from its own
--- beginning, at the step that the first milestone names, and so on.
M.SequentialLR = define(SequentialLR)

return options.name_nearest("lr_scheduler", M)
