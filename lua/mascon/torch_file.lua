--- Makes a Lua value of a file of PyTorch's torch.save, whose pieces the C side hands out.

local ffi_layer = require "mascon.ffi"
local options = require "mascon.options"

local C = ffi_layer.C

local M = {}

local formats = {
  [tonumber(C.MASCON_FILE_PYTORCH_ZIP)] = "pytorch-zip",
  [tonumber(C.MASCON_FILE_PYTORCH_STREAM)] = "pytorch-stream",
  [tonumber(C.MASCON_FILE_PYTORCH_TAR)] = "pytorch-tar",
}

local function flags_of(given)
  return (given.skip_unknown and C.MASCON_TORCH_SKIP_UNKNOWN or 0)
    + (given.verify and 0 or C.MASCON_TORCH_NO_VERIFY)
    + (given.allow_expanded and C.MASCON_TORCH_ALLOW_EXPANDED or 0)
    + (given.lenient_tail and C.MASCON_TORCH_LENIENT_TAIL or 0)
end

--- Reads the file. finish(name, read) makes a tensor with read(box).
---@param path string
---@param given table options of mascon.load
---@param limits any mascon_limits * or nil
---@param finish fun(name: string, read: fun(box: any): integer): mascon.Tensor
---@return any value
---@return table info
function M.load(path, given, limits, finish)
  local box = ffi_layer.new("mascon_torch *[1]")
  ffi_layer.check(C.mascon_torch_open(box, path, limits, flags_of(given)), "load")
  local file = ffi_layer.gc(box[0], C.mascon_torch_close)
  local info = { format = formats[C.mascon_torch_format(file)], names = {}, metadata = {}, unused = {},
    skipped = {} }
  local node = ffi_layer.new("mascon_node[1]")
  local numbered, tensors = {}, {}

  --- The dotted path to the value of a key.
  local function path_of(parent, key)
    if key == nil then
      return parent
    end
    local name = type(key) == "number" and ("%.17g"):format(key) or key
    return parent == "" and name or parent .. "." .. name
  end

  local function skip(name, what)
    name = name == "" and "the value" or name
    if not given.skip_unknown then
      options.fail("load", ('%s: "%s" %s'):format(path, name, what), "skip_unknown = true leaves it out")
    end
    info.skipped[#info.skipped + 1] = name
  end

  local function tensor(i, name)
    name = name == "" and "tensor" or name
    if not tensors[i] then
      tensors[i] = finish(name, function(out)
        return C.mascon_torch_tensor(file, i, out)
      end)
    end
    info.names[#info.names + 1] = name
    return tensors[i]
  end

  --- The next value of the file, which belongs to a key of parent; nil for None and for what is skipped.
  --- The C side limits the depth.
  local function value(parent, key)
    ffi_layer.check(C.mascon_torch_next(file, node), "load")
    local n = node[0]
    local kind, number, count = n.kind, n.numbered, tonumber(n.count)
    if kind == C.MASCON_NODE_NUMBER then
      return n.number
    elseif kind == C.MASCON_NODE_TENSOR then
      return tensor(count, path_of(parent, key))
    elseif kind == C.MASCON_NODE_TEXT then
      local text = ffi_layer.string(n.text, tonumber(n.size))
      if number > 0 then
        numbered[number] = text
      end
      return text
    elseif kind == C.MASCON_NODE_LIST then
      local t, name = {}, path_of(parent, key)
      numbered[number] = t
      for i = 1, count do
        t[i] = value(name, i)
      end
      return t
    elseif kind == C.MASCON_NODE_DICT then
      local t, name = {}, path_of(parent, key)
      numbered[number] = t
      for _ = 1, count do
        local k = value ""
        t[k] = value(name, k)
      end
      return t
    elseif kind == C.MASCON_NODE_BOOL then
      return n.number ~= 0
    elseif kind == C.MASCON_NODE_SAME then
      return numbered[count]
    elseif kind == C.MASCON_NODE_SKIPPED then
      skip(path_of(parent, key), ffi_layer.string(n.text, tonumber(n.size)))
    end
  end

  local result = value ""
  local unused = C.mascon_torch_unused(file, 0)
  while unused ~= nil do
    info.unused[#info.unused + 1] = ffi_layer.string(unused)
    unused = C.mascon_torch_unused(file, #info.unused)
  end
  C.mascon_torch_close(ffi_layer.gc(file, nil))
  return result, info
end

return M
