--- Files that grow during training: opening, writing with errors, folders.

local layer = require "mascon.ffi"
local options = require "mascon.options"

local M = {}

--- Makes a folder and those above it.
function M.make_folder(prefix, dir)
  if dir == "" or dir:find "%c" then
    options.fail(prefix, ("%s is no name of a folder"):format(options.show(dir)))
  end
  local status = os.execute("mkdir -p -- '" .. dir:gsub("'", "'\\''") .. "' 2>/dev/null")
  if status ~= 0 and status ~= true then
    options.fail(prefix, ("folder %s cannot be made"):format(dir))
  end
end

function M.open(prefix, path, mode)
  local file, why = io.open(path, mode)
  if not file then
    options.fail(prefix, why)
  end
  return file
end

--- Raises where a file operation gave nil and a reason.
function M.check(prefix, path, good, why)
  if not good then
    options.fail(prefix, ("%s cannot be written: %s"):format(path, why or "unknown reason"))
  end
end

function M.write(file, prefix, path, ...)
  M.check(prefix, path, file:write(...))
end

--- Seconds since 1970, with the fraction that a steady clock gives.
local start, steady
function M.time()
  if not start then
    start, steady = os.time(), layer.now()
  end
  return start + layer.now() - steady
end

--- A text that differs between programs which start in the same second.
local unique
function M.unique()
  unique = unique or ("%08x"):format(layer.now() * 1e6 % 2 ^ 31)
  return unique
end

return M
