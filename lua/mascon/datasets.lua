--- mascon.datasets: the data sets that mascon knows by name.

local layer = require "mascon.ffi"
local options = require "mascon.options"
local image = require "mascon.image"
local dataset = require "mascon.data.dataset"

local C = layer.C
local M = {}

local function default_root()
  local given = os.getenv "MASCON_DATA"
  return given and given ~= "" and given or "./data"
end

-- CIFAR -------------------------------------------------------------------------------------------------

local cifar_options = {
  { "root", nil, "string" }, { "train", true, "boolean" }, { "transform", nil, "function" },
  { "target_transform", nil, "function" }, { "download", false, "boolean" },
  { "partial", false, "boolean" },
}

local function cifar(name, open, unpack_archive, url, md5, o)
  local root = o.root or default_root()
  local box = layer.new "mascon_source *[1]"
  local status = open(box, root, o.train, o.partial)
  if status == C.MASCON_E_IO and o.download then -- nothing there yet
    local archive = root .. url:match "/[^/]*$"
    layer.check(C.mascon_download(url, archive, md5), name)
    layer.check(unpack_archive(archive, root), name)
    status = open(box, root, o.train, o.partial)
  end
  layer.check(status, name)
  return dataset.pictures(name, box, o)
end

--- CIFAR-10: 50,000 training and 10,000 test pictures 32 x 32 of ten classes, held as uint8. Reads
--- the official binary and Python layouts, as folders or as tar.gz.
---@param ... any root (default: MASCON_DATA, else ./data), train = true, transform,
---  target_transform, download = false, partial = false (files may be missing or cut down)
function M.CIFAR10(...)
  local o = options.arguments("CIFAR10", cifar_options, ...)
  return cifar("CIFAR10", C.mascon_source_cifar10, C.mascon_cifar10_unpack,
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530", o)
end

--- CIFAR-100: as CIFAR10, with a hundred classes (the fine labels).
---@param ... any as for CIFAR10
function M.CIFAR100(...)
  local o = options.arguments("CIFAR100", cifar_options, ...)
  return cifar("CIFAR100", C.mascon_source_cifar100, C.mascon_cifar100_unpack,
    "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8", o)
end

-- MNIST and what looks like it -------------------------------------------------------------------------

local MNIST_FILES = { "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz",
  "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz" }

--- Pictures {1, 28, 28} of idx files, plain or as .gz.
local function mnist(name, classes, url, sums, ...)
  local o = options.arguments(name, {
    { "root", nil, "string" }, { "train", true, "boolean" }, { "transform", nil, "function" },
    { "target_transform", nil, "function" }, { "download", false, "boolean" },
  }, ...)
  local root = o.root or default_root()
  local box = layer.new "mascon_source *[1]"
  local status = C.mascon_source_mnist(box, root, name, o.train)
  if status == C.MASCON_E_IO and o.download then -- nothing there yet
    for i, file in ipairs(MNIST_FILES) do
      layer.check(C.mascon_download(url .. file, ("%s/%s/raw/%s"):format(root, name, file), sums[i]),
        name)
    end
    status = C.mascon_source_mnist(box, root, name, o.train)
  end
  layer.check(status, name)
  local ds = dataset.pictures(name, box, o)
  for i, class in ipairs(classes) do
    ds.classes[i], ds.class_to_idx[class] = class, i
  end
  return ds
end

--- MNIST: 60,000 training and 10,000 test pictures {1, 28, 28} of digits.
---@param ... any root (default: MASCON_DATA, else ./data), train = true, transform,
---  target_transform, download = false
function M.MNIST(...)
  return mnist("MNIST", { "0 - zero", "1 - one", "2 - two", "3 - three", "4 - four", "5 - five",
    "6 - six", "7 - seven", "8 - eight", "9 - nine" },
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    { "f68b3c2dcbeaaa9fbdd348bbdeb94873", "d53e105ee54ea40749a09fcbcd1e9432",
      "9fb629c4189551a2d022fa330f9573f3", "ec29112dd5afa0611ce80d1b7f02629c" }, ...)
end

--- FashionMNIST: pictures of clothes, otherwise as MNIST.
---@param ... any as for MNIST
function M.FashionMNIST(...)
  return mnist("FashionMNIST", { "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal",
    "Shirt", "Sneaker", "Bag", "Ankle boot" },
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    { "8d4fb7e6c68d591d4c3dfef9ec88bf0d", "25c81989df183df01b3e8a0aad5dffbe",
      "bef4ecab320f06d8554ea6380940ec79", "bb300cfdad3c16e7a12a480ee83cd310" }, ...)
end

-- Folders of pictures --------------------------------------------------------------------------------

--- Pictures in files: root holds a folder for each class (sorted by name), which holds JPEG and PNG
--- files, also in folders of its own. Pictures are uint8 {3, H, W}, decoded when they are asked for
--- (in a DataLoader by its workers), so a transform must bring them to one size.
---@param ... any root, transform, target_transform, max_pixels = 64e6
function M.ImageFolder(...)
  local o = options.arguments("ImageFolder", {
    { "root", options.required, "string" }, { "transform", nil, "function" },
    { "target_transform", nil, "function" }, { "max_pixels", image.MAX_PIXELS, "integer", min = 1 },
  }, ...)
  local box = layer.new "mascon_source *[1]"
  layer.check(C.mascon_source_folder(box, o.root, image.options { max_pixels = o.max_pixels }),
    "ImageFolder")
  return dataset.pictures("ImageFolder", box, o)
end

-- Drawn pictures ---------------------------------------------------------------------------------------

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
