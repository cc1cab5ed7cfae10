--- Checksums of tensors and temporary files, for the specs of pictures.

local layer = require "mascon.ffi"

local M = {}

--- A name for a file that does not exist yet, and its removal at the end.
function M.temporary(extension)
  local name = os.tmpname()
  os.remove(name)
  return name .. (extension or "")
end

--- The bytes of a tensor's values in row-major order.
function M.bytes(t)
  t = t:contiguous()
  if not t:is_contiguous() then
    t = t:clone()
  end
  local size = layer.C.mascon_dtype_size(layer.C.mascon_tensor_dtype(t.h))
  return layer.string(layer.cast("const char *", t:data_ptr()),
    tonumber(layer.C.mascon_tensor_numel(t.h)) * size)
end

--- The MD5 of those bytes.
function M.md5(t)
  local name = M.temporary()
  local f = assert(io.open(name, "wb"))
  f:write(M.bytes(t))
  f:close()
  local text = layer.new "char[33]"
  layer.check(layer.C.mascon_file_md5(name, text), "md5")
  os.remove(name)
  return layer.string(text)
end

return M
