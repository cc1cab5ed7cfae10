-- resume.lua: a small training run that can be stopped anywhere and resumed: what spec/resume_spec.lua
-- compares bit for bit. Everything a checkpoint must carry takes part: weights, statistics, the
-- optimizer's state, dropout, drawn transforms, a schedule by steps and one by value, a stopper, a shuffled loader.

local mascon = require "mascon"
local nn, optim, T = mascon.nn, mascon.optim, mascon.transforms
local schedules = optim.lr_scheduler

local M = {}

M.epochs, M.batches = 3, 6 -- 46 samples in batches of 8, the last one smaller

local function model_of()
  local net = nn.Module:extend "Net"
  function net:init()
    self.conv = nn.Conv2d(3, 4, { kernel_size = 3, padding = 1 })
    self.drop = nn.Dropout(0.25)
    self.fc = nn.Linear(4 * 4 * 4, 5)
    self.norm = nn.BatchNorm2d(4)
  end
  function net:forward(x)
    x = nn.functional.max_pool2d(self.norm(nn.functional.relu(self.conv(x))), 2)
    return self.fc(self.drop(x:flatten(2)))
  end
  return net()
end

local optimizers = {
  SGD = { lr = 0.05, momentum = 0.9, nesterov = true },
  Adam = { lr = 0.01, amsgrad = true },
  AdamW = { lr = 0.01 },
  RMSprop = { lr = 0.005, centered = true, momentum = 0.5 },
}

--- The objects of a run, made from a seed that a resumed run may choose differently.
---@param how {optimizer: string, schedule: string, workers: integer, lua: boolean?}
---@param seed integer
function M.new(how, seed)
  mascon.manual_seed(seed)
  local ds = mascon.datasets.FakeData { size = 46, image_size = { 3, 8, 8 }, num_classes = 5,
    transform = T.Compose { T.RandomCrop(8, { padding = 1 }), T.RandomHorizontalFlip(), T.ToTensor() } }
  if how.lua then -- a data set of the script
    local base = ds
    ds = { classes = base.classes, len = function() return base:len() end,
      get = function(_, i) return base:get(i) end }
  end
  local run = { how = how, epoch = 1, step = 0, losses = {} }
  run.model = model_of()
  local groups = { { params = run.model.conv:parameters() }, { params = run.model.norm:parameters() },
    { params = run.model.fc:parameters(), lr = 0.002 } }
  run.optimizer = optim[how.optimizer](groups, optimizers[how.optimizer])
  if how.schedule == "cycle" then
    run.scheduler = schedules.OneCycleLR(run.optimizer, { max_lr = { 0.05, 0.05, 0.01 },
      total_steps = M.epochs * M.batches })
  elseif how.schedule == "sequence" then
    run.scheduler = schedules.SequentialLR(run.optimizer, { milestones = { 7 }, schedulers = {
      schedules.LinearLR(run.optimizer, { total_iters = 5 }),
      schedules.CosineAnnealingLR(run.optimizer, { T_max = 9 }) } })
  else
    run.scheduler = schedules.StepLR(run.optimizer, { step_size = 4, gamma = 0.5 })
  end
  run.plateau = schedules.ReduceLROnPlateau(run.optimizer, { patience = 0, threshold = 0.5, factor = 0.5 })
  run.stopper = mascon.EarlyStopping { patience = 10 }
  run.loader = mascon.data.DataLoader(ds, { batch_size = 8, shuffle = true, num_workers = how.workers })
  return run
end

--- Trains to the end, or until stop(run, where) says so; where is "start", "step", "batch" (after the
--- schedule's step) or "epoch" (after its end's work). Gives whether the end was reached.
function M.train(run, stop)
  stop = stop or function() return false end
  run.model:train()
  if stop(run, "start") then
    return false
  end
  while run.epoch <= M.epochs do
    local sum = 0
    for x, y in run.loader() do
      run.optimizer:zero_grad()
      local loss = nn.functional.cross_entropy(run.model(x), y)
      loss:backward()
      nn.utils.clip_grad_norm_(run.model:parameters(), 1)
      run.optimizer:step()
      run.step = run.step + 1
      sum = sum + loss:item()
      run.losses[run.step] = loss:item()
      if stop(run, "step") then
        return false
      end
      run.scheduler:step()
      if stop(run, "batch") then
        return false
      end
    end
    local last = run.losses[run.step]
    run.plateau:step(last)
    run.stopper:step(last, run.model)
    run.epoch = run.epoch + 1
    if stop(run, "epoch") then
      return false
    end
  end
  return true
end

local objects = { "model", "optimizer", "scheduler", "plateau", "stopper", "loader" }

local function objects_of(run)
  local list = {}
  for _, name in ipairs(objects) do
    list[name] = run[name]
  end
  return list
end

function M.save(path, run, opts)
  local given = objects_of(run)
  given.epoch, given.step, given.losses = run.epoch, run.step, run.losses
  mascon.save_checkpoint(path, given, opts)
end

--- Loads into a run; the place in the loop comes back as the rest.
function M.load(path, run)
  local rest = mascon.load_checkpoint(path, objects_of(run))
  run.epoch, run.step, run.losses = rest.epoch, rest.step, rest.losses
  return rest
end

--- Everything a run has become, as text: hexadecimal for numbers, so that only equal bits are equal.
function M.fingerprint(run)
  local out = {}
  local function walk(v, path)
    if mascon.is_tensor(v) then
      local list = v:numel() > 0 and v:to("float64"):reshape(-1):totable() or {}
      for i, x in ipairs(list) do
        list[i] = ("%a"):format(x)
      end
      out[#out + 1] = ("%s {%s} %s"):format(path, table.concat(v.shape, ","), table.concat(list, " "))
    elseif type(v) == "table" then
      local keys = {}
      for key in pairs(v) do
        keys[#keys + 1] = key
      end
      table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
      for _, key in ipairs(keys) do
        walk(v[key], path .. "." .. tostring(key))
      end
    else
      out[#out + 1] = ("%s %s"):format(path, type(v) == "number" and ("%a"):format(v) or tostring(v))
    end
  end
  for name, object in pairs(objects_of(run)) do
    walk(object:state_dict(), name)
  end
  table.sort(out)
  walk(run.losses, "losses")
  walk({ epoch = run.epoch, step = run.step }, "run")
  walk(require("mascon.random").get_state(), "generator")
  return table.concat(out, "\n")
end

return M
