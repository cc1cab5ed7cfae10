--- Writes the reference pages into a folder: docs.lua DIR. scripts/docs calls this.

local docs = require "mascon.docs"
local help = require "mascon.help"
local op = require "mascon.op"

local folder = assert(..., "docs.lua needs a folder")

--- One entry: its name as a heading, and what help says of it.
local function entry(name, text)
  assert(text, "nothing is known of " .. name)
  return ("### %s\n\n```text\n%s\n```\n"):format(name, (text:gsub("%s+$", "")))
end

local function write(name, title, about, entries)
  local file = assert(io.open(folder .. "/" .. name .. ".md", "w"))
  file:write("# ", title, "\n\n", about, " Made by `scripts/docs`; `mascon.help` says the same at the prompt.\n\n",
    table.concat(entries, "\n"))
  file:close()
end

-- Operations that Lua offers, and below them those that only gradients, layers and C hosts call.
local operations, inner = {}, {}
for _, row in ipairs(op.list()) do
  local text = help.text(row)
  if op.find(row.name) then
    operations[#operations + 1] = entry(row.name, text)
  else
    inner[#inner + 1] = entry(row.name, (text:gsub("^mascon%.", "")))
  end
end
operations[#operations + 1] = "## Inside\n\nWhat gradients and layers call, and C hosts by `mascon_ops.h`; Lua "
  .. "does not offer these by name.\n"
for _, text in ipairs(inner) do
  operations[#operations + 1] = text
end
write("operations", "Operations", "Every operation is `mascon.<name>(...)`, a method of tensors, and an entry of "
  .. "`nn.functional`.", operations)

local parts = {
  { "nn", "mascon.nn", "Layers, losses and containers." },
  { "optim", "mascon.optim", "Optimizers and schedules." },
  { "data", "mascon.data and mascon.datasets", "Loaders and data sets." },
  { "transforms", "mascon.transforms", "What is done to pictures on their way into a batch." },
  { "plot", "mascon.plot", "Figures." },
  { "metrics", "mascon.metrics", "Figures of merit." },
  { "mascon", "mascon", "Functions of the module itself." },
}
local page_of = { datasets = "data" }
local pages = {}
for _, name in ipairs(docs.names) do
  local part = name:match "^(%a+)%." or "mascon"
  part = page_of[part] or part
  pages[part] = pages[part] or {}
  table.insert(pages[part], entry(name, help.find(name)))
end
for _, part in ipairs(parts) do
  write(part[1], part[2], part[3], assert(pages[part[1]], part[1]))
  pages[part[1]] = nil
end
assert(next(pages) == nil, "a part without a page")
