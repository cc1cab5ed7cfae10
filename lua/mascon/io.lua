--- mascon.save and mascon.load: any Lua value with tensors in it, in a safetensors file.
-- Tensors lie in the file under the dotted path to them, so that other programs find them; the rest of
-- the value is a text in the metadata (mascon.structure). What does not fit into the metadata, which
-- holds 1 MiB, lies in a U8 tensor whose name begins with "__mascon__.".

local ffi_layer = require "mascon.ffi"
local op = require "mascon.op"
local options = require "mascon.options"
local structure = require "mascon.structure"
local torch_file = require "mascon.torch_file"

local C = ffi_layer.C

local M = {}

local STRUCTURE = "mascon.structure"
local OVERFLOW = "__mascon__."
local METADATA_BYTES = 2 ^ 20
local SUMS = "mascon.crc32c" -- check sums of the tensors, 8 digits each: the writer's own

local function check_path(name, path)
  if type(path) ~= "string" or path == "" or path:find "%z" then
    options.fail(name, ("path is %s; expected the name of a file"):format(options.show(path)))
  end
end

-- Saving ------------------------------------------------------------------------------------------

--- The entries of __metadata__ as a list {key, text}.
local function metadata_entries(given, text)
  local list = { { "format", "pt" }, { STRUCTURE, text } }
  for key, v in pairs(given or {}) do
    if type(key) ~= "string" or type(v) ~= "string" then
      options.fail("save", ("metadata[%s] is a %s; metadata holds strings under names")
        :format(options.show(key), type(v)), "numbers and tables can be part of the saved value")
    elseif key == "format" or key:sub(1, 7) == "mascon." then
      options.fail("save", ("metadata %s is reserved"):format(options.show(key)))
    elseif not structure.is_utf8(key) or not structure.is_utf8(v) then
      options.fail("save", ("metadata %s is not valid UTF-8"):format(options.show(key)))
    end
    list[#list + 1] = { key, v }
  end
  table.sort(list, function(a, b) return a[1] < b[1] end)
  return list
end

--- Splits entries into those that fit into the header, beside the check sums of so many tensors, and
--- those that need a tensor, largest first.
local function split(entries, tensors)
  local total, by_size, outside = #SUMS + 8 * tensors, {}, {}
  if total > METADATA_BYTES / 2 then -- too many: such a file has none
    total = 0
  end
  for i, e in ipairs(entries) do
    total = total + #e[1] + #e[2]
    by_size[i] = e
  end
  table.sort(by_size, function(a, b)
    if #a[2] ~= #b[2] then
      return #a[2] > #b[2]
    end
    return a[1] < b[1]
  end)
  for _, e in ipairs(by_size) do
    if total <= METADATA_BYTES then
      break
    end
    total = total - #e[1] - #e[2] + 8
    outside[e] = true
    if #OVERFLOW + #e[1] > 512 or not structure.is_clean(e[1]) then
      options.fail("save", ("metadata %s does not fit into the file"):format(options.show(e[1])))
    end
  end
  return outside
end

--- Gives tensors their names in the file: the dotted path, or another where that cannot be.
local function namer()
  local used, count = {}, 0
  return function(path)
    local name = path == "" and "tensor" or path
    if #name > 500 or name == "__metadata__" or name:sub(1, #OVERFLOW) == OVERFLOW
      or not structure.is_clean(name) then
      count = count + 1
      name = ("tensor.%d"):format(count)
    end
    local base, n = name, 1
    while used[name] do
      n = n + 1
      name = ("%s~%d"):format(base, n)
    end
    used[name] = true
    return name
  end
end

--- Writes a value to a safetensors file: tensors (on any device), tables of any nesting with string
--- and number keys, numbers, strings, booleans. The file appears whole or not at all.
---@param path string
---@param value any
---@param opts? {metadata: table<string, string>?}
function M.save(path, value, opts)
  local given = options.read("save", opts, { { "metadata", nil, "table" } })
  check_path("save", path)
  local box = ffi_layer.new("mascon_writer *[1]")
  ffi_layer.check(C.mascon_writer_begin(box, path), "save")
  local writer = ffi_layer.gc(box[0], C.mascon_writer_release)
  local name_of, tensors = namer(), 0

  local function tensor(v, at)
    if not ffi_layer.is_tensor(v) then
      return nil
    end
    if v.h == nil or C.mascon_tensor_is_released(v.h) ~= 0 then
      options.fail("save", ("tensor%s was released"):format(at == "" and "" or " at " .. at))
    end
    local tied = ffi_layer.string(C.mascon_writer_find(writer, v.h))
    if tied then
      return tied
    end
    local name = name_of(at)
    local host = v.device == "cpu" and v or v:detach():to("cpu")
    ffi_layer.check(C.mascon_writer_add(writer, name, host.h, v.h), "save")
    tensors = tensors + 1
    return name
  end

  local text = structure.encode(value, tensor, function(message, hint)
    options.fail("save", message, hint)
  end)
  local entries = metadata_entries(given.metadata, text)
  local outside = split(entries, tensors)
  for _, e in ipairs(entries) do
    if outside[e] then
      ffi_layer.check(C.mascon_writer_add_bytes(writer, OVERFLOW .. e[1], e[2], #e[2]), "save")
    else
      ffi_layer.check(C.mascon_writer_metadata(writer, e[1], e[2], #e[2]), "save")
    end
  end
  ffi_layer.check(C.mascon_writer_finish(writer, 0), "save")
  C.mascon_writer_release(ffi_layer.gc(writer, nil))
end

-- Loading -----------------------------------------------------------------------------------------

local function make_limits(given)
  if not given then
    return nil
  end
  local box = ffi_layer.new("mascon_limits *[1]")
  ffi_layer.check(C.mascon_limits_new(box), "load")
  local limits = ffi_layer.gc(box[0], C.mascon_limits_release)
  for name, v in pairs(given) do
    if type(name) ~= "string" or type(v) ~= "number" then
      options.fail("load", ("limits[%s] is %s; limits are numbers under names")
        :format(options.show(name), options.show(v)))
    end
    ffi_layer.check(C.mascon_limits_set(limits, name, v), "load")
  end
  return limits
end

--- Reads a tensor with read(box).
local function read_tensor(read)
  local box = ffi_layer.tensor_box
  local status = read(box)
  if status == C.MASCON_E_OOM then -- tensors that nobody needs may still wait for the collector
    collectgarbage()
    collectgarbage()
    C.mascon_empty_cache(0)
    status = read(box)
  end
  ffi_layer.check(status, "load")
  local handle = box[0]
  local bytes = C.mascon_tensor_numel(handle) * C.mascon_dtype_size(C.mascon_tensor_dtype(handle))
  local t = ffi_layer.wrap(handle)
  ffi_layer.note_debt(bytes)
  return t
end

--- Tells where a tensor is not finite.
local function check_finite(path, name, t)
  local at = tonumber(C.mascon_tensor_find_nonfinite(t.h))
  if at < 0 then
    return
  end
  local value, index, shape = t:flatten()[at + 1]:item(), {}, t.shape
  for d = #shape, 1, -1 do
    index[d] = at % shape[d] + 1
    at = math.floor(at / shape[d])
  end
  options.fail("load", ("%s: %s[%s] is %s"):format(path, name, table.concat(index, ", "),
    value ~= value and "nan" or value > 0 and "inf" or "-inf"), "check_finite = false reads it as it is")
end

--- Metadata of the file: all texts by key, those in U8 tensors included; and which tensors those are.
local function read_metadata(reader)
  local texts, inner = {}, {}
  local size = ffi_layer.new("int64_t[1]")
  for i = 0, tonumber(C.mascon_reader_metadata_count(reader)) - 1 do
    local key = C.mascon_reader_metadata_key(reader, i, size)
    key = ffi_layer.string(key, tonumber(size[0]))
    local text = C.mascon_reader_metadata_text(reader, i, size)
    texts[key] = ffi_layer.string(text, tonumber(size[0]))
  end
  local data = ffi_layer.new("const char *[1]")
  for i = 0, tonumber(C.mascon_reader_count(reader)) - 1 do
    local name = ffi_layer.string(C.mascon_reader_name(reader, i))
    local key = name:sub(1, #OVERFLOW) == OVERFLOW and name:sub(#OVERFLOW + 1)
    if key and texts[key] == nil and C.mascon_reader_dtype(reader, i) == C.MASCON_DTYPE_U8 then
      ffi_layer.check(C.mascon_reader_bytes(reader, i, data, size), "load")
      texts[key] = ffi_layer.string(data[0], tonumber(size[0]))
      inner[name] = true
    end
  end
  return texts, inner
end

local function load_safetensors(path, given, limits, finish)
  local box = ffi_layer.new("mascon_reader *[1]")
  ffi_layer.check(C.mascon_reader_open(box, path, limits), "load")
  local reader = ffi_layer.gc(box[0], C.mascon_reader_close)
  C.mascon_reader_verify(reader, given.verify and 1 or 0)
  local texts, inner = read_metadata(reader)
  local info = { format = "safetensors", names = {}, metadata = {}, unused = {}, skipped = {} }
  for key, text in pairs(texts) do
    if key ~= STRUCTURE and key ~= SUMS then
      info.metadata[key] = text
    end
  end
  local position, read = {}, {}
  for i = 0, tonumber(C.mascon_reader_count(reader)) - 1 do
    local name = ffi_layer.string(C.mascon_reader_name(reader, i))
    if not inner[name] then
      info.names[#info.names + 1] = name
      position[name] = i
    end
  end

  local function tensor(name)
    if position[name] and not read[name] then
      read[name] = finish(name, function(out)
        return C.mascon_reader_tensor(reader, position[name], out)
      end)
    end
    return read[name]
  end

  local value
  if texts[STRUCTURE] then
    value = structure.decode(texts[STRUCTURE], tensor, function(message)
      options.fail("load", path .. ": " .. message)
    end)
    for _, name in ipairs(info.names) do
      if not read[name] then
        info.unused[#info.unused + 1] = name
      end
    end
  else
    value = {}
    for _, name in ipairs(info.names) do
      if given.skip_unknown and C.mascon_reader_dtype(reader, position[name]) < 0 then
        info.skipped[#info.skipped + 1] = name
      else
        value[name] = tensor(name)
      end
    end
  end
  C.mascon_reader_close(ffi_layer.gc(reader, nil))
  return value, info
end

--- Reads a file that save wrote, any other safetensors file (that one gives a table of tensors by name),
--- or a file of PyTorch's torch.save: dicts become tables with the same keys, lists and tuples arrays,
--- None is absent. Nothing in a file runs.
---@param path string
---@param opts? table device: string; limits: table of numbers; the rest are booleans, false but for
---  verify. skip_unknown leaves out Python objects, and tensors of types that mascon cannot hold, and lists them
---  in info.skipped; verify = false does not compare check sums; allow_expanded reads tensors with more
---  elements than their storage; lenient_tail accepts bytes behind the contents of a PyTorch file;
---  check_finite refuses NaN and infinity
---@return any value
---@return table info format ("safetensors", "pytorch-zip", "pytorch-stream", "pytorch-tar"), names (of
---  tensors, in the order of the file), metadata, unused and skipped names
function M.load(path, opts)
  local given = options.read("load", opts, {
    { "device", nil, "string" },
    { "skip_unknown", false, "boolean" },
    { "verify", true, "boolean" },
    { "limits", nil, "table" },
    { "allow_expanded", false, "boolean" },
    { "lenient_tail", false, "boolean" },
    { "check_finite", false, "boolean" },
  })
  check_path("load", path)
  if given.device then
    op.device("load", given.device)
  end
  local limits = make_limits(given.limits)
  local format = ffi_layer.new("int32_t[1]")
  ffi_layer.check(C.mascon_file_detect(path, format), "load")

  --- What becomes of every tensor that is read.
  local function finish(name, read)
    local t = read_tensor(read)
    if given.check_finite then
      check_finite(path, name, t)
    end
    return given.device and t.device ~= given.device and t:to(given.device) or t
  end

  if format[0] == C.MASCON_FILE_SAFETENSORS then
    return load_safetensors(path, given, limits, finish)
  end
  return torch_file.load(path, given, limits, finish)
end

return M
