--- Puts together files in PyTorch's three formats, right or wrong in one place, for hostile tests.

local bit = require "bit"

local M = {}

-- Bytes -------------------------------------------------------------------------------------------

--- n as size bytes, the lowest first; negative numbers in two's complement.
function M.le(n, size)
  local bytes = {}
  for i = 1, size do
    bytes[i] = string.char(n % 256)
    n = math.floor(n / 256)
  end
  return table.concat(bytes)
end

local le = M.le

local crc_table = {}
for i = 0, 255 do
  local v = i
  for _ = 1, 8 do
    v = bit.band(v, 1) == 1 and bit.bxor(bit.rshift(v, 1), 0xedb88320) or bit.rshift(v, 1)
  end
  crc_table[i] = v
end

function M.crc32(text)
  local v = -1
  for i = 1, #text do
    v = bit.bxor(bit.rshift(v, 8), crc_table[bit.band(bit.bxor(v, text:byte(i)), 255)])
  end
  return bit.bnot(v) % 2 ^ 32
end

-- Pickles -----------------------------------------------------------------------------------------

--- Values as fragments of a pickle.
local P = {}
M.P = P

P.proto, P.none, P.yes, P.no = "\128\2", "N", "\136", "\137"
P.empty_dict, P.empty_list, P.empty_tuple = "}", "]", ")"

function P.str(s)
  return "X" .. le(#s, 4) .. s
end

function P.int(n)
  if n >= 0 and n < 256 then
    return "K" .. le(n, 1)
  elseif n >= -2 ^ 31 and n < 2 ^ 31 then
    return "J" .. le(n, 4)
  end
  return "\138\8" .. le(n, 8)
end

function P.global(module, name)
  return "c" .. module .. "\n" .. name .. "\n"
end

--- Fragments, or numbers.
function P.tuple(...)
  local parts = { ... }
  for i, v in ipairs(parts) do
    parts[i] = type(v) == "number" and P.int(v) or v
  end
  return "(" .. table.concat(parts) .. "t"
end

--- Pairs of a string and a fragment.
function P.dict(...)
  local parts = { ... }
  for i = 1, #parts, 2 do
    parts[i] = P.str(parts[i])
  end
  return "}(" .. table.concat(parts) .. "u"
end

function P.list(...)
  return "](" .. table.concat({ ... }) .. "e"
end

--- The call of a global with a tuple.
function P.call(global, args)
  return global .. args .. "R"
end

P.ordered = P.call(P.global("collections", "OrderedDict"), ")")
P.rebuild = P.global("torch._utils", "_rebuild_tensor_v2")

function P.pickle(fragment)
  return P.proto .. fragment .. "."
end

--- A persistent id. o: what, type, key, location, numel, view (true in streams).
function P.storage(o)
  o = o or {}
  local id = { P.str(o.what or "storage"), o.type or P.global("torch", (o.kind or "Float") .. "Storage"),
    o.key_fragment or P.str(o.key or "0"), P.str(o.location or "cpu"), o.numel_fragment or P.int(o.numel or 4) }
  if o.view then
    id[6] = o.view == true and P.none or o.view
  end
  return P.tuple(unpack(id)) .. "Q"
end

--- A tensor of 4 numbers unless o says otherwise: storage (as P.storage), offset, size, stride, rest.
function P.tensor(o)
  o = o or {}
  local storage = type(o.storage) == "string" and o.storage or P.storage(o.storage)
  return P.call(o.callee or P.rebuild, o.args or ("(" .. storage .. P.int(o.offset or 0)
    .. P.tuple(unpack(o.size or { 4 })) .. P.tuple(unpack(o.stride or { 1 }))
    .. (o.rest or P.no .. P.ordered) .. "t"))
end

-- Zip ---------------------------------------------------------------------------------------------

--- members: {name, data, fields...}; end_fields changes the records at the end. A field of a member:
--- flags, method, crc, size, packed, extra, comment, header, local_name, local_flags, local_crc,
--- local_size, local_extra, descriptor (text), gap (before the member).
function M.zip(members, end_fields)
  end_fields = end_fields or {}
  local out, directory, at = {}, {}, 0
  local function put(text)
    out[#out + 1] = text
    at = at + #text
  end
  for _, m in ipairs(members) do
    local name, data = m[1], m[2]
    local crc, size, flags = m.crc or M.crc32(data), #data, m.flags or 0
    put(m.gap or "")
    local header = at
    local later = bit.band(flags, 8) ~= 0
    put("PK\3\4" .. le(0, 2) .. le(m.local_flags or flags, 2) .. le(m.method or 0, 2) .. le(0, 4)
      .. le(m.local_crc or later and 0 or crc, 4) .. le(m.local_size or later and 0 or size, 4)
      .. le(m.local_size or later and 0 or size, 4) .. le(#(m.local_name or name), 2)
      .. le(#(m.local_extra or ""), 2) .. (m.local_name or name) .. (m.local_extra or ""))
    put(data)
    put(m.descriptor or later and "PK\7\8" .. le(crc, 4) .. le(size, 4):rep(2) or "")
    directory[#directory + 1] = "PK\1\2" .. le(0, 4) .. le(flags, 2) .. le(m.method or 0, 2) .. le(0, 4)
      .. le(crc, 4) .. le(m.packed or m.size or size, 4) .. le(m.size or size, 4) .. le(#name, 2)
      .. le(#(m.extra or ""), 2) .. le(#(m.comment or ""), 2) .. le(m.disk or 0, 2) .. le(0, 6)
      .. le(m.header or header, 4) .. name .. (m.extra or "") .. (m.comment or "")
  end
  local central = table.concat(directory) .. (end_fields.after_directory or "")
  local begin = at
  put(central)
  local count = end_fields.count or #members
  if end_fields.zip64 then
    local z = type(end_fields.zip64) == "table" and end_fields.zip64 or {}
    local record = at
    put((z.signature or "PK\6\6") .. le(z.record_size or 44, 8) .. le(0, 4) .. le(0, 8)
      .. le(z.count or count, 8):rep(2) .. le(z.size or #central, 8) .. le(z.begin or begin, 8))
    put("PK\6\7" .. le(0, 4) .. le(z.record or record, 8) .. le(z.disks or 1, 4))
  end
  put("PK\5\6" .. le(end_fields.disk or 0, 4) .. le(end_fields.count_here or count, 2) .. le(count, 2)
    .. le(end_fields.size or #central, 4) .. le(end_fields.begin or begin, 4)
    .. le(#(end_fields.comment or ""), 2) .. (end_fields.comment or ""))
  return table.concat(out)
end

--- An archive around a pickle. o: pickle (whole), object (fragment), members (added), data (of storage
--- "0"), version, fields (of the member named), end_fields, drop (a name).
function M.zip_file(o)
  o = o or {}
  local fields = o.fields or {}
  local members = {
    { "a/data.pkl", o.pickle or P.pickle(o.object or P.dict("a", P.tensor())) },
    { "a/version", o.version or "3\n" },
    { "a/data/0", o.data or ("\0\0\128\63"):rep(4) },
  }
  for _, m in ipairs(o.members or {}) do
    members[#members + 1] = m
  end
  for i = #members, 1, -1 do
    local m = members[i]
    if m[1] == o.drop then
      table.remove(members, i)
    end
    for key, v in pairs(fields[m[1]] or {}) do
      m[key] = v
    end
  end
  return M.zip(members, o.end_fields)
end

-- Streams -----------------------------------------------------------------------------------------

M.magic = "\128\2\138\10\108\252\156\70\249\32\106\168\80\25\46"

--- o: protocol, info, object (fragments), pickle (whole), keys (list), keys_pickle, data (text of all
--- storages), tail.
function M.stream_file(o)
  o = o or {}
  local keys = {}
  for i, key in ipairs(o.keys or { "0" }) do
    keys[i] = P.str(key)
  end
  local tensor = P.tensor { storage = { view = true } }
  return M.magic .. (o.protocol or P.pickle(P.int(1001)))
    .. (o.info or P.pickle(P.dict("protocol_version", P.int(1001), "little_endian", P.yes,
      "type_sizes", P.dict("long", P.int(4)))))
    .. (o.pickle or P.pickle(o.object or P.dict("a", tensor)))
    .. (o.keys_pickle or P.pickle(P.list(unpack(keys))))
    .. (o.data or le(4, 8) .. ("\0\0\128\63"):rep(4)) .. (o.tail or "")
end

-- Tar ---------------------------------------------------------------------------------------------

--- The header of a member. fields: type, name, size_text, sum_text, magic.
function M.tar_header(name, size, fields)
  fields = fields or {}
  local function pad(text, n)
    return text .. ("\0"):rep(n - #text)
  end
  local head = pad(fields.name or name, 100) .. pad("0000644\0" .. "0000000\0" .. "0000000\0", 24)
    .. (fields.size_text or ("%011o\0"):format(size)) .. "00000000000\0"
  local tail = (fields.type or "0") .. pad("", 100) .. (fields.magic or "ustar\00000") .. pad("", 247)
  local sum = 8 * 32
  for i = 1, #head do
    sum = sum + head:byte(i)
  end
  for i = 1, #tail do
    sum = sum + tail:byte(i)
  end
  return head .. (fields.sum_text or ("%06o\0 "):format(sum)) .. tail
end

function M.tar_member(name, data, fields)
  return M.tar_header(name, #data, fields) .. data .. ("\0"):rep(-#data % 512)
end

--- o: sys_info, storages, tensors, object, pickle, members (text instead of all), fields (of members by
--- name), before (text), finish, and of the storage and the tensor: numel, data, views, ndim, size,
--- stride, offset, count, storage_kind, tensor_kind, key.
function M.tar_file(o)
  o = o or {}
  local fields = o.fields or {}
  local storages = o.storages or P.pickle(P.int(o.count or 1))
    .. P.pickle(P.tuple(10, P.str "cpu", P.global("torch", (o.storage_kind or "Float") .. "Storage")))
    .. le(o.numel or 4, 8) .. (o.data or ("\0\0\128\63"):rep(4)) .. P.pickle(o.views or P.empty_list)
  local numbers = ""
  for _, list in ipairs { o.size or { 4 }, o.stride or { 1 }, { o.offset or 0 } } do
    for _, n in ipairs(list) do
      numbers = numbers .. le(n, 8)
    end
  end
  local tensors = o.tensors or P.pickle(P.int(o.count or 1))
    .. P.pickle(P.tuple(20, o.key or 10, P.global("torch", (o.tensor_kind or "Float") .. "Tensor")))
    .. le(o.ndim or #(o.size or { 4 }), 4) .. le(0, 4) .. numbers
  local list = {
    { "sys_info", o.sys_info or P.pickle(P.dict("protocol_version", P.int(1000), "little_endian", P.yes)) },
    { "pickle", o.pickle or P.pickle(o.object or P.dict("a", P.str "20" .. "Q")) },
    { "tensors", tensors .. (o.tensors_tail or "") },
    { "storages", storages .. (o.storages_tail or "") },
  }
  local out = { o.before or "" }
  for _, m in ipairs(list) do
    if m[1] ~= o.drop then
      out[#out + 1] = M.tar_member(m[1], m[2], fields[m[1]])
    end
  end
  out[#out + 1] = o.after or ""
  out[#out + 1] = o.finish or ("\0"):rep(1024)
  return table.concat(out)
end

return M
