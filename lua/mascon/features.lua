--- mascon.features: what a frozen backbone computes of a data set, once, as a data set of its own.
-- Only what cannot change from epoch to epoch may be computed once, so everything that could is refused
-- with the reason: trainable parameters, moving statistics, dropout, random transforms.

local autograd = require "mascon.autograd"
local create = require "mascon.create"
local fingerprint = require "mascon.fingerprint"
local layer = require "mascon.ffi"
local nn = require "mascon.nn"
local options = require "mascon.options"
local output = require "mascon.output"
local transforms = require "mascon.transforms"
local data = require "mascon.data"
local dataset = require "mascon.data.dataset"

local C = layer.C
local M = {}

local KIND = "mascon.features 1"

local function fail(message, hint)
  options.fail("features", message, hint)
end

-- What is refused -----------------------------------------------------------------------------------------

local function is_a(m, class)
  local c = getmetatable(m).books.class
  while c do
    if c == class then
      return true
    end
    c = rawget(c, "super")
  end
  return false
end

local function quantity(n, what)
  return ("%d %s%s"):format(n, what, n == 1 and "" or "s")
end

--- Parameters that training would change.
local function check_trainable(backbone, o)
  local n, total, first = 0, 0, nil
  for name, p in backbone:named_parameters() do
    total = total + 1
    if p.requires_grad then
      n, first = n + 1, first or name
    end
  end
  if n > 0 and not o.allow_trainable then
    fail(("%d of %s of the backbone are trainable (%s%s): features computed once would not follow "
      .. "their training"):format(n, quantity(total, "parameter"), first, n > 1 and " ..." or ""),
      "backbone:freeze(), or allow_trainable = true")
  end
end

--- Layers that train() lets draw, or whose statistics it moves. Returns how the backbone departs from
--- evaluation, as text.
local function check_modes(backbone, o)
  local moving, drawing = {}, {}
  for name, m in backbone:named_modules() do
    if is_a(m, nn.BatchNorm1d) or is_a(m, nn.BatchNorm2d) then
      if m.running_mean == nil then
        fail(("%s normalises by its batch (track_running_stats = false): features would depend on the "
          .. "company of a sample"):format(name))
      elseif m.training and not m.frozen then
        moving[#moving + 1] = name
      end
    elseif (is_a(m, nn.Dropout) or is_a(m, nn.Dropout2d)) and m.training and m.p > 0 then
      drawing[#drawing + 1] = name
    end
  end
  if #moving > 0 and not o.allow_training then
    fail(("the backbone is in train(): the statistics of %s (%s%s) move with every batch"):format(
      quantity(#moving, "batch norm"), moving[1], #moving > 1 and " ..." or ""),
      "backbone:freeze() or backbone:eval() holds them; allow_training = true takes them as they come")
  end
  if #drawing > 0 and not o.allow_random then
    fail(("the backbone is in train(): %s (%s%s) drops other values in every epoch"):format(
      quantity(#drawing, "dropout"), drawing[1], #drawing > 1 and " ..." or ""),
      "backbone:eval(), or allow_random = true keeps what is drawn once")
  end
  return table.concat(moving, " ") .. "|" .. table.concat(drawing, " ")
end

--- The name of the first random transform of a list.
local function random_stage(list)
  for _, stage in ipairs(list) do
    if transforms.count_random { stage } > 0 then
      return stage.class_name
    end
  end
end

--- Random augmentation: what is known to draw, and what gives another sample when it is asked again.
local function check_random(ds, o)
  if o.allow_random then
    return
  end
  local hint = "features of the plain pictures: a loader without it; allow_random = true keeps what is "
    .. "drawn once"
  local unsure = false
  fingerprint.each_leaf(ds, function(leaf)
    local view = dataset.view(leaf)
    local before, after = transforms.split(view and view.transform)
    local name = random_stage(before) or random_stage(after)
    if name then
      fail(("transform %s is random: every epoch would see other pictures"):format(name), hint)
    end
    unsure = unsure or not view or #before > 0 or view.target_transform ~= nil
  end)
  local n = ds:len()
  if unsure and not (fingerprint.is_repeatable(ds, 1) and fingerprint.is_repeatable(ds, n)) then
    fail("the data set gives another sample when it is asked again: every epoch would see others", hint)
  end
end

--- The samples that a loader's sampler names; nil for all.
local function order_of(loader)
  if loader.collate_fn then
    fail("the loader has a collate_fn: its batches need not be rows of samples")
  end
  local sampler = loader.sampler
  if layer.is_tensor(sampler) then
    sampler = sampler:totable()
  elseif sampler ~= nil and (type(sampler) ~= "table" or transforms.is_callable(sampler)) then
    fail("the loader's sampler is a function: every epoch may see other samples",
      "features of all samples, and the sampler in the loader of the head")
  end
  return sampler
end

-- Computing -------------------------------------------------------------------------------------------------

--- A loader of the same samples, in the order of the data set.
local function in_order(loader, order)
  local workers = loader.num_workers
  return data.DataLoader(loader.dataset, { batch_size = loader.batch_size, num_workers = workers,
    prefetch_factor = workers > 0 and loader.prefetch_factor or nil,
    timeout = workers > 0 and loader.timeout or nil, on_error = loader.on_error,
    dtypes = next(loader.dtypes) and loader.dtypes or nil, seed = loader.seed, sampler = order })
end

--- Copies the rows of t into a table of all rows, which is made for n of them at the first call.
local function store(all, f, t, at, n)
  if not layer.is_tensor(t) or t:dim() == 0 then
    fail(("value %d of a batch is %s; only tensors with rows can be kept"):format(f,
      layer.is_tensor(t) and "a single number" or options.show(t)))
  end
  if not all[f] then
    local shape = t.shape
    shape[1] = n
    all[f] = create.new("features", shape, t.dtype, "cpu")
  end
  all[f]:narrow(1, at + 1, t:size(1)):copy_(t)
end

local function compute(backbone, loader, order, o)
  local source = in_order(loader, order)
  local n = order and #order or loader.dataset:len()
  local first = backbone:parameters()[1] or backbone:buffers()[1]
  local device = first and first.device or "cpu"
  local all, at = {}, 0
  local iterator = o.progress and require "mascon.tqdm"(source, { desc = "features" }) or source()
  local function pack(...)
    return select("#", ...), { ... }
  end
  while true do
    local count, batch = pack(iterator())
    if batch[1] == nil then
      break
    elseif not layer.is_tensor(batch[1]) then
      fail(("value 1 of a batch is %s; expected a tensor"):format(options.show(batch[1])))
    end
    local rows = batch[1]:size(1)
    local y = backbone(batch[1]:to(device))
    if not layer.is_tensor(y) or y:dim() == 0 or y:size(1) ~= rows then
      fail(("the backbone makes %s of a batch of %d; expected a tensor with %d rows"):format(
        layer.is_tensor(y) and "a tensor {" .. table.concat(y.shape, ", ") .. "}" or options.show(y),
        rows, rows))
    end
    store(all, 1, y, at, n)
    for f = 2, count do
      store(all, f, batch[f], at, n)
    end
    at = at + rows
  end
  if at == 0 then
    fail "every sample was left out"
  end
  if at < n then -- on_error = "skip"
    for f, t in ipairs(all) do
      all[f] = t:narrow(1, 1, at):clone()
    end
  end
  return all
end

-- The file --------------------------------------------------------------------------------------------------

--- Raises where a file cannot be written, before hours of computing.
local function check_writable(path)
  local box = layer.new "mascon_writer *[1]"
  layer.check(C.mascon_writer_begin(box, path), "features")
  C.mascon_writer_release(box[0])
end

--- What an earlier run stored; nil where there is no file, an error where it is something else.
local function stored(path)
  local file = io.open(path, "rb")
  if not file then
    return nil
  end
  file:close()
  local good, value = pcall(require("mascon.io").load, path)
  if not good or type(value) ~= "table" or value.kind ~= KIND or type(value.tensors) ~= "table" then
    fail(("%s is there and holds no features"):format(path), "another name, or remove it")
  end
  return value
end

--- Which of what the features depend on has changed, for people.
local function difference(old, new)
  local list = {}
  for _, field in ipairs { { "backbone", "the backbone" }, { "data", "the data or its transform" },
    { "modes", "train() of its layers" } } do
    if old[field[1]] ~= new[field[1]] then
      list[#list + 1] = field[2]
    end
  end
  return table.concat(list, " and ")
end

-- The function ----------------------------------------------------------------------------------------------

local function result(tensors, ds, file, reused)
  local set = data.TensorDataset(tensors)
  set.classes, set.class_to_idx = ds.classes, ds.class_to_idx
  set.path, set.reused = file, reused
  return set
end

--- Runs a frozen backbone over all samples of a loader's data set and returns what it gives as a data
--- set: get(i) -> features, label. The order is that of the data set, whatever the loader's shuffle, so
--- that DataLoader(features, {shuffle = true}) trains a head as the whole network would be.
---@param backbone mascon.nn.Module frozen: freeze(), or requires_grad_(false) and eval()
---@param loader table its data set, batch size, workers and device of the backbone are used
---@param given? table file: features are kept there and reused while backbone, weights, data and
---  transform are the same; key: a text that stands for the data, and for what a script made of it,
---  where that has no contents to compare; progress = false: a bar on standard error. What would change
---  the result is refused unless allow_random (augmentation, dropout), allow_training (moving
---  statistics) or allow_trainable say so
---@return table data set with classes as the loader's; reused: whether it came from the file
function M.features(backbone, loader, given)
  fingerprint.check_module("features", backbone)
  if type(loader) ~= "table" or type(loader.dataset) ~= "table" or type(loader.batch_size) ~= "number" then
    fail(("argument 2 is %s; expected a DataLoader"):format(options.show(loader)),
      "data.DataLoader(dataset, {batch_size = 32})")
  end
  local o = options.read("features", given, {
    { "file", nil, "string" }, { "key", nil, "string" }, { "progress", false, "boolean" },
    { "allow_random", false, "boolean" }, { "allow_training", false, "boolean" },
    { "allow_trainable", false, "boolean" },
  })
  local ds = loader.dataset
  local order = order_of(loader)
  check_trainable(backbone, o)
  local modes = check_modes(backbone, o)
  check_random(ds, o)
  return autograd.outside_scope(autograd.no_grad, function()
    if not o.file then
      return result(compute(backbone, loader, order, o), ds, nil, false)
    end
    local backbone_sum, why = fingerprint.of_module(backbone)
    why = not o.key and (why or fingerprint.opaque(ds)) or nil
    if why then
      fail(("features cannot be kept in a file: %s"):format(why), 'key = "a text that you change with '
        .. 'what a script made of backbone, data or transform", or no file')
    end
    check_writable(o.file)
    local old = stored(o.file)
    local now = { backbone = backbone_sum, modes = modes, data = o.key
      and "key " .. o.key .. (order and " " .. table.concat(order, " ") or "")
      or fingerprint.of_data(ds, order) }
    if old then
      local changed = difference(old, now)
      if changed == "" then
        return result(old.tensors, ds, o.file, true)
      end
      output.stderr:write(("mascon: %s was made before %s changed; computing anew\n"):format(o.file, changed))
    end
    now.kind, now.tensors = KIND, compute(backbone, loader, order, o)
    require("mascon.io").save(o.file, now)
    return result(now.tensors, ds, o.file, false)
  end)
end

return M
