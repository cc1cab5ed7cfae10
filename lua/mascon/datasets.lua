--- mascon.datasets: the data sets that mascon knows by name.

local layer = require "mascon.ffi"
local options = require "mascon.options"
local dataset = require "mascon.data.dataset"

local C = layer.C
local M = {}

local CIFAR10_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
local CIFAR10_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"

local function default_root()
  local given = os.getenv "MASCON_DATA"
  return given and given ~= "" and given or "./data"
end

--- Fetches the official archive into root, checks it and unpacks it there.
local function download_cifar10(root)
  local archive = root .. "/cifar-10-binary.tar.gz"
  layer.check(C.mascon_download(CIFAR10_URL, archive, CIFAR10_MD5), "CIFAR10")
  layer.check(C.mascon_cifar10_unpack(archive, root), "CIFAR10")
end

--- CIFAR-10: 50,000 training and 10,000 test pictures 32 x 32 of ten classes, held as uint8. Reads
--- the official binary and Python layouts, as folders or as tar.gz.
---@param ... any root (default: MASCON_DATA, else ./data), train = true, transform,
---  target_transform, download = false, partial = false (files may be missing or cut down)
function M.CIFAR10(...)
  local o = options.arguments("CIFAR10", {
    { "root", nil, "string" }, { "train", true, "boolean" }, { "transform", nil, "function" },
    { "target_transform", nil, "function" }, { "download", false, "boolean" },
    { "partial", false, "boolean" },
  }, ...)
  local root = o.root or default_root()
  local box = layer.new "mascon_source *[1]"
  local status = C.mascon_source_cifar10(box, root, o.train, o.partial)
  if status == C.MASCON_E_IO and o.download then -- nothing there yet
    download_cifar10(root)
    status = C.mascon_source_cifar10(box, root, o.train, o.partial)
  end
  layer.check(status, "CIFAR10")
  return dataset.pictures("CIFAR10", box, o)
end

--- Drawn pictures of ten kinds of figures, for trying things out without a data set. Sample i
--- depends on random_offset + i alone: disjoint offsets give disjoint sets.
---@param ... any size = 1000, image_size = {3, 32, 32}, num_classes = 10, transform,
---  target_transform, random_offset = 0
function M.FakeData(...)
  local o = options.arguments("FakeData", {
    { "size", 1000, "integer", min = 0 }, { "image_size", nil, "table" },
    { "num_classes", 10, "integer", min = 1, max = 10 }, { "transform", nil, "function" },
    { "target_transform", nil, "function" }, { "random_offset", 0, "integer", min = 0 },
  }, ...)
  local size = options.sizes("FakeData", "image_size", o.image_size or { 3, 32, 32 })
  if #size ~= 3 or size[1] ~= 3 then
    options.fail("FakeData", ("image_size is {%s}; expected {3, height, width}")
      :format(table.concat(size, ", ")))
  end
  local box = layer.new "mascon_source *[1]"
  layer.check(C.mascon_source_fake(box, o.size, o.num_classes, size[2], size[3], o.random_offset),
    "FakeData")
  return dataset.pictures("FakeData", box, o)
end

return M
