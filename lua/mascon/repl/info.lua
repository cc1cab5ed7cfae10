--- `mascon info`: mascon.config() for people.

local M = {}

--- The lines of the table that mascon.config() gives.
---@param config table
---@return string
function M.text(config)
  local lines = {}
  local function add(name, value)
    lines[#lines + 1] = ("%-12s %s"):format(name, value)
  end
  add("mascon", config.version .. " with " .. config.lua)
  add("library", config.library)
  for _, device in ipairs(config.devices) do
    add("device", device.name .. (device.available and "" or ": " .. (device.why or "not there")))
  end
  add("processor", ("%s, %d in use as threads of %d"):format(config.processor or "unknown", config.threads,
    config.processors))
  add("features", table.concat(config.features, " "))
  add("kernels", config.kernels)
  local names = {}
  for name in pairs(config.libraries) do
    names[#names + 1] = name
  end
  table.sort(names)
  for i, name in ipairs(names) do
    names[i] = name .. " " .. config.libraries[name]
  end
  add("libraries", table.concat(names, ", "))
  add("compiler", config.compiler)
  return table.concat(lines, "\n")
end

--- Prints them.
function M.print()
  print(M.text(require("mascon").config()))
end

return M
