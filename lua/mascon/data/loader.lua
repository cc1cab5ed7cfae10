--- DataLoader: batches of a data set, epoch by epoch.
-- Two ways lead to a batch. Data sets that the C library holds, with transforms of the C library, are
-- batched by C threads. As soon as Lua takes part (a data set or a stage of the script, collate_fn),
-- samples are fetched and collated here, in the iterator; C stages that follow the last Lua stage
-- then run on the whole batch. Both give the same values.

local autograd = require "mascon.autograd"
local layer = require "mascon.ffi"
local op = require "mascon.op"
local options = require "mascon.options"
local output = require "mascon.output"
local random = require "mascon.random"
local transforms = require "mascon.transforms"
local dataset = require "mascon.data.dataset"
local collate = require "mascon.data.collate"

local C = layer.C

local DataLoader = {}
DataLoader.__index = DataLoader

local spec = {
  { "batch_size", 32, "integer", min = 1 },
  { "shuffle", false, "boolean" },
  { "num_workers", 0, "integer", min = 0, cap = 256 },
  { "pin_memory", nil, "boolean" }, -- no page-locked memory without CUDA, as in PyTorch
  { "drop_last", false, "boolean" },
  { "device", nil, "any" },
  { "resident", false, "boolean" },
  { "on_error", "raise", "string", choices = { "raise", "skip" } },
  { "prefetch_factor", nil, "integer", min = 1, max = 1024 },
  { "sampler", nil, "any" },
  { "collate_fn", nil, "function" },
  { "timeout", 0, "number", min = 0 },
  { "seed", nil, "integer", min = 0 },
  { "dtypes", nil, "table" },
}

local function fail(message, hint)
  options.fail("DataLoader", message, hint)
end

--- Batches of a data set (any table with len and get).
---@param ds table
---@param given? table batch_size = 32, shuffle, num_workers = 0, drop_last, device, on_error,
---  prefetch_factor = 2, sampler, collate_fn, timeout, pin_memory, dtypes, seed, resident: the pictures
---  lie on the device from the first epoch on, and batches are made there
---@return table
local function new(ds, given)
  if given == nil and type(ds) == "table" and ds.get == nil and ds.dataset ~= nil then
    given = {} -- everything by name
    for key, v in pairs(ds) do
      given[key] = v
    end
    ds, given.dataset = given.dataset, nil
  end
  local self = options.read("DataLoader", given, spec)
  if dataset.check("DataLoader", ds) == 0 then
    fail("data set is empty")
  end
  if self.sampler ~= nil and self.shuffle then
    fail("shuffle and sampler are both given; the sampler decides the order")
  end
  if self.num_workers == 0 and (self.prefetch_factor or self.timeout > 0) then
    fail(("%s needs workers; num_workers is 0")
      :format(self.prefetch_factor and "prefetch_factor" or "timeout"))
  end
  self.prefetch_factor = self.prefetch_factor or 2
  if self.device ~= nil then
    self.device_id = op.device("DataLoader", self.device)
  end
  local on_gpu = (self.device_id or 0) ~= 0
  if self.resident and not self.device_id then
    fail("resident = true needs a device", 'device = "cuda"')
  end
  -- on the CPU, pictures in memory are where they should be
  self.resident = self.resident and on_gpu
  self.uploads = on_gpu and not self.resident
  self.pin_memory = self.pin_memory or self.uploads
  self.dtypes = self.dtypes or {}
  for _, name in pairs(self.dtypes) do
    op.dtype("DataLoader", name)
  end
  self.dataset = ds
  self.epoch = 0      -- epochs begun
  self.batch = 0      -- batches of it that were given out
  self.finished = true -- nothing of it is left
  self.seconds = 0    -- spent in the iterator
  self.skipped = {}   -- samples of this epoch that on_error = "skip" left out: {index =, message =}
  return setmetatable(self, DataLoader)
end

-- Order ------------------------------------------------------------------------------------------------

local function sampled(self, epoch)
  local sampler = self.sampler
  if transforms.is_callable(sampler) then
    sampler = sampler(epoch)
  end
  if layer.is_tensor(sampler) then
    sampler = sampler:totable()
  end
  if type(sampler) ~= "table" then
    fail(("sampler gives %s; expected a list of indices"):format(options.show(sampler)))
  end
  local n = #sampler
  for key in pairs(sampler) do
    if type(key) == "number" and not (key >= 1 and key <= n) or n == 0 then
      fail(("sampler[%s] is not part of a list without holes; expected a list of indices, or a function that "
        .. "gives one"):format(options.show(key)))
    end
  end
  return sampler
end

--- The rows of an epoch in their order, counted from 0, and their number.
local function epoch_order(self, seed, epoch)
  local n = self.dataset:len()
  if self.sampler == nil then
    local order = layer.new("int64_t[?]", n)
    if self.shuffle then
      C.mascon_shuffle(seed, epoch, n, order)
    else
      for i = 0, n - 1 do
        order[i] = i
      end
    end
    return order, n
  end
  local list = sampled(self, epoch)
  local order = layer.new("int64_t[?]", math.max(#list, 1))
  for k = 1, #list do
    local i = list[k]
    if type(i) ~= "number" or i ~= math.floor(i) or i < 1 or i > n then
      fail(("index %d of the sampler is %s; expected a whole number in 1..%d")
        :format(k, options.show(i), n))
    end
    order[k - 1] = i - 1
  end
  return order, #list
end

local function count_batches(self, n)
  return self.drop_last and math.floor(n / self.batch_size) or math.ceil(n / self.batch_size)
end

--- Number of batches of an epoch.
---@return integer
function DataLoader:len()
  if self.sampler == nil then
    return count_batches(self, self.dataset:len())
  end
  return count_batches(self, #sampled(self, math.max(self.epoch, 1)))
end

-- Batches made by the C library -----------------------------------------------------------------------

local count_box = layer.new "int32_t[1]"
local fields_box = layer.new "mascon_tensor *[8]"
local row_box = layer.new "int64_t[1]"
local numel = C.mascon_tensor_numel

--- A Lua tensor of a batch. It belongs to no scope: the loop may outlive one.
local function adopt(handle)
  local t = layer.own(handle)
  layer.note_debt(tonumber(numel(handle)) * C.mascon_dtype_size(C.mascon_tensor_dtype(handle)))
  return t
end

--- The C loader for this data set, or nil where Lua takes part.
local function c_loader(self)
  local view = not self.collate_fn and next(self.dtypes) == nil and dataset.view(self.dataset)
  if not view or view.target_transform then
    return nil
  end
  local before, after = transforms.split(view.transform)
  if #before > 0 then
    return nil
  end
  local source = view.source()
  if source == nil then
    return nil
  end
  local pipeline = #after > 0 and transforms.pipeline(after) or nil
  local box = layer.new "mascon_loader *[1]"
  layer.check(C.mascon_loader_new(box, source, pipeline, self.batch_size, self.drop_last,
    self.num_workers, self.prefetch_factor), "DataLoader")
  local loader = layer.gc(box[0], C.mascon_loader_release)
  C.mascon_loader_skip(loader, self.on_error == "skip")
  C.mascon_loader_pin(loader, self.pin_memory)
  return loader
end

-- Batches made on the device ---------------------------------------------------------------------------

--- Checks a status; short memory: collects, gives cached blocks back and tries once more.
local function try(self, fn, ...)
  local status = fn(...)
  if status == C.MASCON_E_OOM then
    collectgarbage()
    collectgarbage()
    C.mascon_empty_cache(self.device_id)
    status = fn(...)
  end
  layer.check(status, "DataLoader")
end

--- Begins an epoch over the pictures on the device, which are brought there once.
local function begin_resident(self, run, seed)
  local view = not self.collate_fn and next(self.dtypes) == nil and dataset.view(self.dataset)
  local before, after
  if view and not view.target_transform then
    before, after = transforms.split(view.transform)
  end
  if not before or #before > 0 then
    fail("resident = true is for mascon's own data sets and transforms; here Lua takes part in each sample",
      "without resident = true it may")
  end
  if not self.kept then
    local source = view.source()
    if source == nil then
      fail("resident = true needs pictures of one shape")
    end
    local box = layer.new "mascon_resident *[1]"
    try(self, C.mascon_resident_new, box, source, self.device_id)
    self.kept = layer.gc(box[0], C.mascon_resident_release)
    self.kept_rows = self.dataset:len()
  end
  if self.dataset:len() ~= self.kept_rows then
    fail(("the data set has %d samples; %d lie on the device"):format(self.dataset:len(), self.kept_rows),
      "a new DataLoader brings the others")
  end
  local pipeline = #after > 0 and transforms.pipeline(after) or nil
  try(self, C.mascon_resident_begin, self.kept, pipeline, seed, self.epoch, run.order, run.n)
end

local function next_resident_batch(self, run)
  if run.at >= run.batches then
    return nil
  end
  local start = layer.now()
  try(self, C.mascon_resident_batch, self.kept, run.at * self.batch_size, self.batch_size, fields_box)
  local x, y = fields_box[0], fields_box[1]
  self.batch, run.at = run.at, run.at + 1
  local batch = { adopt(x), adopt(y) }
  self.seconds = self.seconds + layer.now() - start
  return batch, 2
end

--- Notes a sample that was left out; the first one of an epoch is told on standard error at its end.
local function note_skipped(self, i, message)
  self.skipped[#self.skipped + 1] = { index = i, message = message }
end

local function tell_skipped(self)
  local n = #self.skipped
  if n > 0 then
    output.warn(("DataLoader: %d of %d samples of epoch %d left out; the first: sample %d (%s)"):format(
      n, self.dataset:len(), self.epoch, self.skipped[1].index, self.skipped[1].message:match "[^\n]*"))
  end
end

local function next_c_batch(self, loader)
  local status = C.mascon_loader_next(loader, self.timeout, fields_box, count_box)
  if status == C.MASCON_E_OOM then
    collectgarbage()
    collectgarbage()
    C.mascon_empty_cache(0)
    status = C.mascon_loader_next(loader, self.timeout, fields_box, count_box)
  end
  layer.check(status, "DataLoader")
  local why = C.mascon_loader_skipped(loader, #self.skipped, row_box)
  while why ~= nil do
    note_skipped(self, tonumber(row_box[0]) + 1, layer.string(why))
    why = C.mascon_loader_skipped(loader, #self.skipped, row_box)
  end
  local n = count_box[0]
  if n == 0 then
    return nil
  end
  self.batch = tonumber(C.mascon_loader_position(loader)) - 1
  local batch = {}
  for f = 1, n do
    batch[f] = adopt(fields_box[f - 1])
  end
  return batch, n
end

-- Batches made here -------------------------------------------------------------------------------------

--- How one sample is fetched, and the C stages that remain for the whole batch.
local function fetcher(self)
  local ds = self.dataset
  local view = not self.collate_fn and dataset.view(ds)
  if not view then
    return function(i) return ds:get(i) end, nil
  end
  local before, after = transforms.split(view.transform)
  local target = view.target_transform
  local function finish(picture, label, ...)
    for _, stage in ipairs(before) do
      picture = stage(picture)
    end
    if target then
      label = target(label)
    end
    return picture, label, ...
  end
  local function fetch(i)
    return finish(view.raw(i))
  end
  if not target and #before == 0 then
    fetch = view.raw
  end
  return fetch, #after > 0 and transforms.pipeline(after) or nil, transforms.count_random(before)
end

local function pack(good, ...)
  return good, { n = select("#", ...), ... }
end

--- Sample i, or nil where it fails and is to be skipped.
local function fetch_sample(self, fetch, i)
  local draw = { seed = self.epoch_seed, epoch = self.epoch, row = i - 1, stage = 0 }
  local good, sample = pack(transforms.with_draw(draw, fetch, i))
  if good then
    if sample.n == 0 then
      fail(("sample %d: get returned nothing"):format(i))
    end
    return sample
  end
  local message = tostring(sample[1])
  local stopped = message:find("interrupted", 1, true)
  if self.on_error == "skip" and not stopped then
    note_skipped(self, i, message)
    return nil
  end
  fail(("sample %d: %s"):format(i, message), not stopped and "on_error = \"skip\" leaves it out"
    or nil)
end

--- Values of the batch with rows order[first..last-1], or nil where every sample was skipped.
local function make_batch(self, run, first, last)
  local samples, indices = {}, {}
  for k = first, last - 1 do
    local i = tonumber(run.order[k]) + 1
    local sample = fetch_sample(self, run.fetch, i)
    if sample then
      samples[#samples + 1] = sample
      indices[#indices + 1] = i
    end
  end
  if #samples == 0 then
    return nil
  end
  if self.collate_fn then
    local _, values = pack(true, self.collate_fn(samples))
    if values[1] == nil then -- as the first value it would end the script's loop as if this were the last batch
      fail "collate_fn returned nothing; its first value must not be nil"
    end
    return values, values.n
  end
  local batch, n = collate.samples(samples, indices, self.dataset.classes ~= nil, self.dtypes)
  if run.pipeline then
    batch[1] = transforms.apply(run.pipeline, batch[1], "DataLoader",
      transforms.batch_draw(self.epoch_seed, self.epoch, indices, run.random))
  end
  return batch, n
end

local function next_lua_batch(self, run)
  local start = tonumber(C.mascon_now())
  local batch, n
  while not batch and run.at < run.batches do
    local first = run.at * self.batch_size
    run.at = run.at + 1
    batch, n = autograd.outside_scope(make_batch, self, run, first, math.min(first + self.batch_size, run.n))
    self.batch = run.at - 1
  end
  self.seconds = self.seconds + (tonumber(C.mascon_now()) - start) * 1e-9
  return batch, n
end

-- Epochs ---------------------------------------------------------------------------------------------------

-- Uploads: while the script works on a batch, the next one is copied to the device. ------------------------

local upload_box = layer.new "mascon_upload *[1]"
local sources_box = layer.new "mascon_tensor *[8]"

local function end_upload(upload)
  if upload then
    C.mascon_upload_release(layer.gc(upload, nil))
  end
end

--- Begins to copy the tensors of a batch; they are replaced by those on the device.
local function begin_upload(self, batch, n)
  local at = {}
  for f = 1, n do
    if layer.is_tensor(batch[f]) and batch[f].device == "cpu" then
      if #at == C.MASCON_MAX_SRC then
        fail(("a batch of more than %d tensors cannot be uploaded"):format(C.MASCON_MAX_SRC))
      end
      sources_box[#at] = batch[f].h
      at[#at + 1] = f
    end
  end
  if #at == 0 then
    return nil
  end
  layer.check(C.mascon_upload_new(upload_box, sources_box, #at, self.device_id, fields_box), "DataLoader")
  local upload = layer.gc(upload_box[0], C.mascon_upload_release)
  for k, f in ipairs(at) do
    batch[f] = adopt(fields_box[k - 1])
  end
  return upload
end

--- A batch of the CPU in page-locked memory (where a device will not get it anyway).
local function pin(batch, n)
  for f = 1, n do
    if layer.is_tensor(batch[f]) and batch[f].device == "cpu" then
      layer.check(C.mascon_tensor_pin(batch[f].h, fields_box), "DataLoader")
      batch[f] = adopt(fields_box[0])
    end
  end
end

local function close_run(self)
  local run = self.run
  self.run = nil
  if run then
    end_upload(run.ahead and run.ahead.upload)
    end_upload(run.upload)
    run.ahead, run.upload = nil, nil
  end
  if run and run.loader then
    self.seconds = C.mascon_loader_waited(run.loader)
    C.mascon_loader_release(layer.gc(run.loader, nil))
    run.loader = nil
  end
end

--- Everything an epoch needs; begins it in the C library where that makes the batches.
local function begin(self, seed, first)
  close_run(self)
  local order, n = epoch_order(self, seed, self.epoch)
  local run = { order = order, n = n, batches = count_batches(self, n), at = first }
  self.seconds = 0
  self.skipped = {}
  if self.resident then
    begin_resident(self, run, seed)
    self.run = run
    return run
  end
  run.loader = c_loader(self)
  if run.loader then
    C.mascon_loader_seed(run.loader, seed, self.epoch)
    layer.check(C.mascon_loader_begin(run.loader, order, n, first), "DataLoader")
  else
    run.fetch, run.pipeline, run.random = fetcher(self)
  end
  self.run = run
  return run
end

--- The next batch as it is made, in CPU memory; also where the loader stands behind it.
local function fetch(self, run)
  local batch, n
  if self.resident then
    batch, n = next_resident_batch(self, run)
  elseif run.loader then
    batch, n = next_c_batch(self, run.loader)
    self.seconds = C.mascon_loader_waited(run.loader)
  else
    batch, n = next_lua_batch(self, run)
    if batch and self.pin_memory and not self.uploads then
      pin(batch, n)
    end
  end
  return batch, n, self.batch
end

local function fetch_and_upload(self, run)
  local batch, n, position = fetch(self, run)
  return batch and { batch = batch, n = n, position = position, upload = begin_upload(self, batch, n) }
end

--- The batch whose copy was begun a batch ago; begins that of the next one.
local function next_uploaded(self, run)
  local now = run.ahead or fetch_and_upload(self, run)
  run.ahead = nil
  if not now then
    return nil
  end
  if now.upload then
    layer.check(C.mascon_upload_use(now.upload), "DataLoader")
  end
  end_upload(run.upload) -- of the batch before: long over
  run.upload = now.upload
  -- What goes wrong with the next batch is told when it is its turn.
  local good, ahead = pcall(fetch_and_upload, self, run)
  run.ahead, run.failure = good and ahead or nil, not good and ahead or nil
  self.batch = now.position
  return now.batch, now.n
end

local function advance(self, run)
  if self.run ~= run then
    if run.done then
      return nil
    end
    fail("this epoch was ended by close() or a later loader()")
  end
  if run.failure then
    local failure = run.failure
    run.failure = nil
    error(failure, 0)
  end
  local batch, n
  if self.uploads then
    batch, n = next_uploaded(self, run)
  else
    batch, n = fetch(self, run)
  end
  if not batch then
    run.done, self.finished = true, true
    close_run(self)
    tell_skipped(self)
    return nil
  end
  self.batch = self.batch + 1
  if n == 2 then
    return batch[1], batch[2]
  end
  return unpack(batch, 1, n)
end

--- Begins an epoch: `for X, y in loader() do ... end`.
function DataLoader:__call(...)
  if select("#", ...) > 0 then
    fail("a loader itself is not an iterator; loader() begins an epoch",
      "for X, y in loader() do")
  end
  local first, seed = 0, self.seed or random.generator().seed
  if self.resume then
    first, seed = self.batch, self.resume
    self.resume = nil
  else
    self.epoch, self.batch = self.epoch + 1, 0
  end
  self.finished, self.epoch_seed = false, seed
  local run = begin(self, seed, first)
  return function()
    return advance(self, run)
  end
end

--- Ends the epoch in progress and its threads; loader() begins the next one.
function DataLoader:close()
  close_run(self)
  self.finished = true
end

--- Seconds that the script spent waiting for batches in this epoch (or the last one), the number of
--- batches it got, and the number of samples that were left out (loader.skipped lists them).
---@return number, integer, integer
function DataLoader:stats()
  return self.seconds, self.batch, #self.skipped
end

--- The position, for a checkpoint: plain numbers.
---@return table
function DataLoader:state_dict()
  return { epoch = self.epoch, batch = self.batch, finished = self.finished,
    seed = self.epoch_seed or 0, samples = self.dataset:len() }
end

--- Goes to a position: the next loader() continues that epoch behind its last batch, or begins the
--- one after it.
---@param state table what state_dict gave
function DataLoader:load_state_dict(state)
  for _, name in ipairs { "epoch", "batch", "seed", "samples" } do
    options.check("DataLoader", { name, nil, "integer", min = 0 }, state[name])
  end
  local n = self.dataset:len()
  if state.samples ~= n then
    fail(("the state was saved with %d samples, this data set has %d; batch %d of epoch %d "
      .. "cannot be kept"):format(state.samples, n, state.batch, state.epoch))
  end
  close_run(self)
  self.epoch, self.batch, self.epoch_seed = state.epoch, state.batch, state.seed
  self.finished = state.finished or state.epoch == 0
  self.resume = not self.finished and state.seed or nil
end

function DataLoader:__tostring()
  return ("DataLoader(%d samples, batch_size = %d, num_workers = %d)"):format(self.dataset:len(),
    self.batch_size, self.num_workers)
end

return new
