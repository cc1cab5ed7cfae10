--- Small CIFAR-10 folders in the official layouts, for the specs of data sets.

local M = {}

M.parts = { "data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch" }

--- An empty folder of its own.
function M.folder()
  local pipe = io.popen "mktemp -d"
  local name = pipe:read "*l"
  pipe:close()
  return name
end

function M.remove(folder)
  os.execute("rm -rf '" .. folder .. "'")
end

function M.write(path, text)
  local f = assert(io.open(path, "wb"))
  f:write(text)
  f:close()
end

--- Bytes that gzip cannot shrink: an archive of zeros would pass for a bomb.
local function noise(n, seed)
  local bytes = {}
  local x = seed * 2 + 1
  for i = 1, n do
    x = (x * 16807) % 2147483647
    bytes[i] = string.char(math.floor(x / 64) % 256)
  end
  return table.concat(bytes)
end

--- n pictures of a part: list of {label =, planes = 3,072 bytes}. Labels run 0, 1, ... 9, 0 ...
function M.pictures(part, n)
  local list = {}
  for i = 1, n do
    list[i] = { label = (i + part - 2) % 10, planes = noise(3072, part * 1000 + i) }
  end
  return list
end

function M.binary(pictures)
  local records = {}
  for i, p in ipairs(pictures) do
    records[i] = string.char(p.label) .. p.planes
  end
  return table.concat(records)
end

local function u32(n)
  return string.char(n % 256, math.floor(n / 256) % 256, math.floor(n / 65536) % 256,
    math.floor(n / 16777216))
end

--- The pickle that Python 2 wrote, protocol 2. `more` is put between the keys.
function M.python(pictures, more)
  local out, memo = {}, 0
  local function put(code)
    memo = memo + 1
    out[#out + 1] = code .. (memo < 256 and "q" .. string.char(memo) or "r" .. u32(memo))
  end
  local function str(s)
    put(#s < 256 and "U" .. string.char(#s) .. s or "T" .. u32(#s) .. s)
  end
  local function int(n)
    out[#out + 1] = n < 256 and "K" .. string.char(n) or "J" .. u32(n)
  end
  out[1] = "\128\2"
  put "}"
  out[#out + 1] = "("
  str "batch_label"
  str "training batch 1 of 5"
  str "labels"
  put "]"
  out[#out + 1] = "("
  local planes = {}
  for i, p in ipairs(pictures) do
    int(p.label)
    planes[i] = p.planes
  end
  out[#out + 1] = "e"
  if more then
    str(more)
    out[#out + 1] = "N"
  end
  str "data"
  put "cnumpy.core.multiarray\n_reconstruct\n"
  put "cnumpy\nndarray\n"
  put "K\0\133"
  str "b"
  put "\135"
  put "R"
  out[#out + 1] = "(K\1"
  int(#pictures)
  int(3072)
  put "\134"
  put "cnumpy\ndtype\n"
  str "u1"
  put "K\0K\1\135"
  put "R"
  out[#out + 1] = "(K\3"
  str "|"
  put "NNNJ\255\255\255\255J\255\255\255\255K\0t"
  out[#out + 1] = "b\137"
  str(table.concat(planes))
  put "t"
  out[#out + 1] = "bu."
  return table.concat(out)
end

--- Writes parts (default all) of n pictures each below root; returns the pictures by part.
function M.make(root, layout, n, parts)
  local folder = root .. (layout == "python" and "/cifar-10-batches-py" or "/cifar-10-batches-bin")
  os.execute("mkdir -p '" .. folder .. "'")
  local all = {}
  for k, name in ipairs(M.parts) do
    if not parts or parts[name] then
      all[name] = M.pictures(k, n)
      if layout == "python" then
        M.write(folder .. "/" .. name, M.python(all[name]))
      else
        M.write(folder .. "/" .. name .. ".bin", M.binary(all[name]))
      end
    end
  end
  return all
end

--- Packs the folder of a layout as the official archive and removes it.
function M.pack(root, layout)
  local short = layout == "python" and "py" or "bin"
  local archive = layout == "python" and "cifar-10-python.tar.gz" or "cifar-10-binary.tar.gz"
  os.execute(("cd '%s' && tar --format=ustar -czf %s cifar-10-batches-%s && rm -r cifar-10-batches-%s")
    :format(root, archive, short, short))
end

return M
