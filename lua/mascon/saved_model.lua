--- mascon.save_model and mascon.load_model: a recorded network with its weights in one file, for programs
--- that run it without its Lua code.
-- The model runs twice while it is saved, with two sizes of the batch: what differs between the two
-- recordings follows the batch, or is refused (lib/model/save.c). Shapes for a batch of one are inferred.

local autograd = require "mascon.autograd"
local layer = require "mascon.ffi"
local module = require "mascon.nn.module"
local op = require "mascon.op"
local options = require "mascon.options"
local raise = require "mascon.raise"

local C, is_tensor, check = layer.C, layer.is_tensor, layer.check
local M = {}

-- Saving --------------------------------------------------------------------------------------------

--- The example as {names, tensors, pass}: pass(model, tensors) calls the model.
local function read_example(example)
  if is_tensor(example) then
    return { "input" }, { example }, function(model, t) return model(t[1]) end
  elseif type(example) ~= "table" or next(example) == nil then
    options.fail("save_model", ("argument 3 (example_input) is %s; expected a tensor, a list of tensors, or a "
      .. "table of tensors by name"):format(options.show(example)))
  end
  local names, tensors = {}, {}
  for key, v in pairs(example) do
    if not is_tensor(v) or (type(key) == "number") ~= (example[1] ~= nil) then
      options.fail("save_model", ("example_input[%s] is %s; expected tensors, all by position or all by name")
        :format(options.show(key), options.show(v)))
    end
    names[#names + 1] = key
  end
  table.sort(names)
  for i, key in ipairs(names) do
    tensors[i] = example[key]
  end
  if example[1] ~= nil then
    for i = 1, #names do
      names[i] = "input." .. i
    end
    return names, tensors, function(model, t) return model(unpack(t, 1, #names)) end
  end
  return names, tensors, function(model, t)
    local by_name = {}
    for i, key in ipairs(names) do
      by_name[key] = t[i]
    end
    return model(by_name)
  end
end

--- What the model returned as a list {name, tensor}.
local function read_outputs(n, results)
  local list = {}
  local function add(name, v)
    if not is_tensor(v) then
      options.fail("save_model", ("output %s is %s; a saved model returns tensors, or one table of them")
        :format(name, options.show(v)))
    end
    list[#list + 1] = { name, v }
  end
  if n == 1 and type(results[1]) == "table" and not is_tensor(results[1]) then
    local keys = {}
    for key in pairs(results[1]) do
      keys[#keys + 1] = key
    end
    table.sort(keys, function(a, b)
      return type(a) == type(b) and a < b or type(a) == "number" and type(b) ~= "number"
    end)
    for _, key in ipairs(keys) do
      add(tostring(key), results[1][key])
    end
  else
    for i = 1, n do
      add(n == 1 and "output" or "output." .. i, results[i])
    end
  end
  if #list == 0 then
    options.fail("save_model", "the model returned nothing")
  end
  return list
end

--- Inputs with two sizes of the batch, both above 1: with a single row, memory can be contiguous in ways in
--- which it is not otherwise. nil where no input has a batch.
local function with_two_batches(tensors)
  local first = tensors[1]
  local batch = first:dim() > 0 and first:size(1) or 0
  if batch == 0 then
    return nil
  end
  local function larger(list)
    local size, grown = list[1]:size(1), {}
    for i, t in ipairs(list) do
      local follows = t:dim() > 0 and t:size(1) == size and tensors[i]:size(1) == batch
      grown[i] = follows and op.find "cat" { t, t:narrow(1, 1, 1), dim = 1 } or t:clone()
    end
    return grown
  end
  local one = batch > 1 and tensors or larger(tensors)
  return one, larger(one)
end

--- Runs fn with every module in eval() and telling the recorder when it runs; restores both.
local function watched(model, recorder, fn)
  if not module.is_module(model) then
    return fn()
  end
  local modules, modes, calls = {}, {}, {}
  for name, m in model:named_modules() do
    modules[#modules + 1] = m
    modes[#modes + 1] = m.training
    local mt = getmetatable(m)
    local path = model.class_name .. (name ~= "" and "." .. name or "")
    local call = mt.__call
    calls[#calls + 1] = call
    mt.__call = function(self, ...)
      local outer = recorder.path
      recorder.path = path
      C.mascon_recorder_path(recorder.handle, path)
      local function leave(...)
        recorder.path = outer
        C.mascon_recorder_path(recorder.handle, outer)
        return ...
      end
      return leave(call(self, ...))
    end
  end
  model:eval()
  local results = { pcall(fn) }
  for i, m in ipairs(modules) do
    m.training = modes[i]
    getmetatable(m).__call = calls[i]
  end
  if not results[1] then
    error(results[2], 0)
  end
  return unpack(results, 2, table.maxn(results))
end

--- Records model over the tensors; returns the recorder.
local function record(model, names, tensors, pass)
  local box = layer.new "mascon_recorder *[1]"
  check(C.mascon_recorder_begin(box), "save_model")
  local recorder = { handle = layer.gc(box[0], C.mascon_recorder_release), path = "" }
  local handle = recorder.handle
  local function run()
    for i, t in ipairs(tensors) do
      check(C.mascon_recorder_input(handle, names[i], t.h), "save_model")
    end
    if module.is_module(model) then
      for _, each in ipairs { model.named_parameters, model.named_buffers } do
        for name, t in each(model) do
          check(C.mascon_recorder_constant(handle, name, t.h), "save_model")
        end
      end
    end
    local function collect(...)
      return select("#", ...), { ... }
    end
    local n, results = collect(watched(model, recorder, function() return pass(model, tensors) end))
    for _, output in ipairs(read_outputs(n, results)) do
      check(C.mascon_recorder_output(handle, output[1], output[2].h), "save_model")
    end
  end
  local good, err = pcall(autograd.no_grad, run)
  C.mascon_recorder_stop(handle)
  if not good then
    C.mascon_recorder_release(layer.gc(handle, nil))
    error(err, 0)
  end
  return handle
end

--- Writes a network as a file that runs without its Lua code (mascon.load_model, mascon_model_load in C):
--- the calls it makes for the example, in eval() and without gradients, with its weights. The batch, the
--- first dimension of the inputs, may have any size when the model runs; where a call does not allow that,
--- saving says which. Numbers that Lua reads or computes inside are constants of the file.
---@param path string
---@param model mascon.nn.Module|function
---@param example_input mascon.Tensor|table a tensor; a list of the model's arguments; or a table by name,
---  which the model gets as its one argument
---@param given? table batch = "free" | "fixed": the sizes of the example alone
function M.save(path, model, example_input, given)
  if type(path) ~= "string" or path == "" or path:find "%z" then
    options.fail("save_model", ("path is %s; expected the name of a file"):format(options.show(path)))
  end
  if type(model) ~= "function" and not module.is_module(model) then
    options.fail("save_model", ("argument 2 (model) is %s; expected a module or a function")
      :format(options.show(model)))
  end
  local read = options.read("save_model", given, {
    { "batch", "free", "string", choices = { "free", "fixed" } },
  })
  local names, tensors, pass = read_example(example_input)
  local other_tensors
  if read.batch == "free" then
    local one, two = with_two_batches(tensors)
    tensors, other_tensors = one or tensors, two
  end
  local recorder = record(model, names, tensors, pass)
  local other
  if other_tensors then
    local good, result = pcall(record, model, names, other_tensors, pass)
    if not good then
      raise.raise("save_model", ("the model does not run with a batch of %d: %s"):format(
        other_tensors[1]:size(1), tostring(result)), nil, '{batch = "fixed"} saves it for the example\'s batch alone')
    end
    other = result
  end
  local status = C.mascon_recorder_save(recorder, other, path)
  C.mascon_recorder_release(layer.gc(recorder, nil))
  if other then
    C.mascon_recorder_release(layer.gc(other, nil))
  end
  check(status, "save_model")
end

-- Loading -------------------------------------------------------------------------------------------

---@class mascon.Model a saved model: model(x) runs it
---@field inputs table[] {name, dtype, shape}; shape has "batch" where any size is allowed
---@field outputs table[]
---@field device string
local Model = {}
Model.__index = Model

local shape_box = layer.new "const int64_t *[1]"

--- The inputs or outputs of a model.
local function ports(handle, kind)
  local list = {}
  for i = 0, C.mascon_model_count(handle, kind) - 1 do
    local shape = {}
    for d = 1, C.mascon_model_shape(handle, kind, i, shape_box) do
      local size = tonumber(shape_box[0][d - 1])
      shape[d] = size < 0 and "batch" or size
    end
    list[i + 1] = {
      name = layer.string(C.mascon_model_name(handle, kind, i)),
      dtype = layer.string(C.mascon_dtype_name(C.mascon_model_dtype(handle, kind, i))),
      shape = shape,
    }
  end
  return list
end

--- Makes the Lua object of an owned handle.
---@param handle any mascon_model *, owned; ownership passes to the object
---@return mascon.Model
function M.adopt(handle)
  local model = setmetatable({
    handle = layer.gc(handle, C.mascon_model_release),
    inputs = ports(handle, C.MASCON_MODEL_INPUT),
    outputs = ports(handle, C.MASCON_MODEL_OUTPUT),
  }, Model)
  model.taken = layer.new("mascon_tensor *[?]", #model.inputs)
  model.made = layer.new("mascon_tensor *[?]", #model.outputs)
  local device = C.mascon_model_device(handle)
  model.device = device == 0 and "cpu" or "cuda:" .. device - C.MASCON_DEVICE_CUDA
  return model
end

--- Whether v is a model of mascon.load_model.
function M.is_model(v)
  return getmetatable(v) == Model
end

--- Reads a file of mascon.save_model. Nothing of it runs before it has been checked.
---@param path string
---@return mascon.Model
function M.load(path)
  if type(path) ~= "string" then
    options.fail("load_model", ("path is %s; expected the name of a file"):format(options.show(path)))
  end
  local box = layer.new "mascon_model *[1]"
  check(C.mascon_model_load(box, path), "load_model")
  return M.adopt(box[0])
end

--- Moves the weights to a device.
---@param device string
---@return mascon.Model
function Model:to(device)
  local number = op.device("to", device)
  check(C.mascon_model_to(self.handle, number), "to")
  self.device = number == 0 and "cpu" or "cuda:" .. number - C.MASCON_DEVICE_CUDA
  return self
end

function Model:cpu()
  return self:to "cpu"
end

function Model:cuda()
  return self:to "cuda"
end

--- Puts the n arguments of a call into the array for C.
function M.take_inputs(self, n, first, ...)
  local count = #self.inputs
  local by_name = n == 1 and type(first) == "table" and first
  if by_name then
    for key in pairs(by_name) do
      if type(key) == "string" and C.mascon_model_find(self.handle, C.MASCON_MODEL_INPUT, key) < 0 then
        local names = {}
        for i, port in ipairs(self.inputs) do
          names[i] = port.name
        end
        options.unknown("model", key, names)
      end
    end
  elseif n ~= count then
    options.fail("model", ("%d input%s; the model has %d"):format(n, n == 1 and "" or "s", count))
  end
  local rest = by_name or { first, ... }
  for i, port in ipairs(self.inputs) do
    local v = rest[i]
    if v == nil then
      v = rest[port.name]
    end
    if not is_tensor(v) then
      options.fail("model", ("input %s is %s; expected a tensor"):format(port.name, options.show(v)))
    end
    self.taken[i - 1] = v.h
  end
  return self.taken
end

--- What came out in the form in which the model returned it: values, or a table.
function M.give_outputs(self, values)
  local name = self.outputs[1].name
  if name == "output" or name == "output.1" then
    return unpack(values)
  end
  local by_key = {}
  for i, port in ipairs(self.outputs) do
    by_key[tonumber(port.name) or port.name] = values[i]
  end
  return by_key
end

function Model:__call(...)
  M.take_inputs(self, select("#", ...), ...)
  local n = #self.outputs
  local status = C.mascon_model_run(self.handle, self.taken, #self.inputs, self.made, n)
  if status == C.MASCON_E_OOM then -- tensors that nobody needs may still wait for the collector
    collectgarbage()
    collectgarbage()
    C.mascon_empty_cache(0)
    status = C.mascon_model_run(self.handle, self.taken, #self.inputs, self.made, n)
  end
  if status ~= 0 then
    local op_name = layer.string(C.mascon_last_error().op)
    check(status, op_name == "" and "model" or nil)
  end
  local made, values, bytes = self.made, {}, 0
  for i = 1, n do
    local handle = made[i - 1]
    bytes = bytes + tonumber(C.mascon_tensor_numel(handle)) * C.mascon_dtype_size(C.mascon_tensor_dtype(handle))
    values[i] = layer.wrap(handle)
  end
  layer.note_debt(bytes)
  return M.give_outputs(self, values)
end

local function port_text(port)
  return ("%s %s {%s}"):format(port.name, port.dtype, table.concat(port.shape, ", "))
end

function Model:__tostring()
  local texts = { {}, {} }
  for k, list in ipairs { self.inputs, self.outputs } do
    for i, port in ipairs(list) do
      texts[k][i] = port_text(port)
    end
  end
  return ("saved model: %s -> %s, %d calls, on %s"):format(table.concat(texts[1], ", "),
    table.concat(texts[2], ", "), C.mascon_model_calls(self.handle), self.device)
end

return M
