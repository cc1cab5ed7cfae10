--- What the Lua states of one process share: tensors handed over by a number, and values that are made
-- once. Each state gets tensors of its own over the same memory; who writes while another reads must take
-- turns.

local layer = require "mascon.ffi"
local options = require "mascon.options"
local structure = require "mascon.structure"

local C, check = layer.C, layer.check
local M = {}

local tensor_box = layer.new "mascon_tensor *[1]"
local model_box = layer.new "mascon_model *[1]"

--- Hands a tensor to another Lua state of this process: its number, for one mascon.from_shared there.
---@param t mascon.Tensor
---@return integer
function M.share(t)
  local number = layer.new "int64_t[1]"
  check(C.mascon_share(t.h, number), "share")
  return tonumber(number[0])
end

--- The tensor that another Lua state (or this one) gave by t:share(): the same memory, not a copy. A
--- number can be used once.
---@param number integer
---@return mascon.Tensor
function M.from_shared(number)
  options.check("from_shared", { "number", nil, "integer", min = 1 }, number)
  check(C.mascon_shared_take(number, tensor_box), "from_shared")
  return layer.wrap(tensor_box[0])
end

-- Values made once ------------------------------------------------------------------------------------------

local function fail_with(key)
  return function(message, hint)
    C.mascon_cached_fail(key)
    options.fail("cached", message, hint)
  end
end

--- Stores what fn made: its text, tensors and models.
local function put(key, value)
  local saved_model = require "mascon.saved_model"
  local tensors, models, names = {}, {}, {}
  local function name_of(v)
    if names[v] then
      return names[v]
    elseif layer.is_tensor(v) then
      tensors[#tensors + 1] = v
      names[v] = "t" .. #tensors
    elseif saved_model.is_model(v) then
      models[#models + 1] = v.handle
      names[v] = "m" .. #models
    end
    return names[v]
  end
  local text = structure.encode(value, name_of, fail_with(key))
  local handles, n = layer.handles(tensors)
  local list = layer.new("mascon_model *[?]", #models + 1)
  for i, handle in ipairs(models) do
    list[i - 1] = handle
  end
  local status = C.mascon_cached_put(key, text, handles, n, list, #models)
  if status ~= 0 then
    C.mascon_cached_fail(key)
    check(status, "cached")
  end
end

--- The value of a finished entry, with tensors and models of this state's own.
local function get(entry)
  local function named(name)
    local kind, i = name:match "^([tm])(%d+)$"
    i = tonumber(i) - 1
    if kind == "t" then
      check(C.mascon_cached_tensor(entry, i, tensor_box), "cached")
      return layer.own(tensor_box[0])
    end
    check(C.mascon_cached_model(entry, i, model_box), "cached")
    return require("mascon.saved_model").adopt(model_box[0])
  end
  return structure.decode(layer.string(C.mascon_cached_text(entry)), named, function(message)
    options.fail("cached", message)
  end)
end

--- What fn returns, made once in this process: the first Lua state that asks for the key runs fn, the
--- others (in other threads: they wait) get the same tensors and models without running theirs. The value
--- may be a tensor, a model of mascon.load_model, a plain value, or a table of these; it stays until the
--- process ends. An error of fn is raised here, and the next state tries again.
---@param key string
---@param fn function
---@return any
function M.cached(key, fn)
  options.check("cached", { "key", nil, "string" }, key)
  if type(fn) ~= "function" then
    options.fail("cached", ("argument 2 is %s; expected a function"):format(options.show(fn)))
  end
  local what, entry = layer.new "int32_t[1]", layer.new "mascon_cached *[1]"
  check(C.mascon_cached_begin(key, what, entry), "cached")
  if what[0] == C.MASCON_CACHED_MAKE then
    local good, value = pcall(fn)
    if not good then
      C.mascon_cached_fail(key)
      error(value, 0)
    end
    put(key, value)
    check(C.mascon_cached_begin(key, what, entry), "cached")
  end
  return get(entry[0])
end

return M
