--- ImageFolder, CIFAR100, MNIST and FashionMNIST; samples that cannot be read.

local mascon = require "mascon"
local layer = require "mascon.ffi"
local cifar = require "spec.support.cifar"
local pixels = require "spec.support.pixels"

local data, datasets, image, T = mascon.data, mascon.datasets, mascon.image, mascon.transforms

local root

local function fails(text, f, ...)
  local good, message = pcall(f, ...)
  assert.is_false(good)
  assert.is_truthy(message:find(text, 1, true), message)
end

local function drain(loader)
  local n = 0
  for _, y in loader() do
    n = n + #y
  end
  return n
end

local function copy(from, to)
  local f = assert(io.open("spec/golden/images/" .. from, "rb"))
  cifar.write(root .. "/" .. to, f:read "*a")
  f:close()
end

--- What fn writes to standard error is not for the list of results.
local function quietly(fn, ...)
  local kept, text = io.stderr, {}
  rawset(io, "stderr", { write = function(_, ...) text[#text + 1] = table.concat { ... } end })
  local good, message = pcall(fn, ...)
  rawset(io, "stderr", kept)
  assert.is_true(good, message)
  return table.concat(text), message
end

before_each(function() root = cifar.folder() end)
after_each(function() cifar.remove(root) end)

describe("ImageFolder", function()
  --- cat: 3 pictures (one in a folder of its own), dog: 2, of JPEG and PNG.
  local function make()
    os.execute(("mkdir -p '%s/dog' '%s/cat/old'"):format(root, root))
    copy("rgb.jpg", "cat/b.jpg")
    copy("rgb.png", "cat/A.PNG")
    copy("gray.png", "cat/old/1.jpeg") -- told by content
    copy("alpha.png", "dog/2.png")
    copy("progressive.jpg", "dog/1.jpg")
    cifar.write(root .. "/dog/notes.txt", "no picture")
    cifar.write(root .. "/readme.txt", "no class")
  end

  it("reads folders in torchvision's order, as three channels", function()
    make()
    local ds = datasets.ImageFolder { root = root }
    assert.same({ "cat", "dog" }, ds.classes)
    assert.same({ cat = 1, dog = 2 }, ds.class_to_idx)
    local names, labels = {}, {}
    for i = 1, ds:len() do
      local x, label = ds:get(i)
      assert.same({ 3, 21, 34 }, x.shape)
      names[i], labels[i] = ds:file(i), label
    end
    assert.same({ "cat/A.PNG", "cat/b.jpg", "cat/old/1.jpeg", "dog/1.jpg", "dog/2.png" }, names)
    assert.same({ 1, 1, 1, 2, 2 }, labels)
    assert.equal(pixels.md5(image.read "spec/golden/images/rgb.png"), pixels.md5((ds:get(1))))
    assert.equal(pixels.md5((ds:get(1))), pixels.md5((ds:get(5))))
  end)

  it("gives the same batches for any number of workers", function()
    make()
    local ds = datasets.ImageFolder { root = root, transform = T.Compose {
      T.RandomResizedCrop(16), T.RandomHorizontalFlip(), T.ToTensor() } }
    local expected
    for _, workers in ipairs { 0, 1, 3 } do
      local list = {}
      for X, y in data.DataLoader(ds, { batch_size = 2, shuffle = true, num_workers = workers,
        seed = 3 })() do
        assert.same({ #y, 3, 16, 16 }, X.shape)
        list[#list + 1] = { pixels.md5(X), y:totable() }
      end
      expected = expected or list
      assert.same(expected, list)
    end
    local a, b = data.random_split(ds, { 3, 2 })
    assert.equal(5, drain(data.DataLoader(data.ConcatDataset { a, b }, { num_workers = 1 })))
  end)

  it("gives in a loader what get gives", function()
    make()
    local ds = datasets.ImageFolder { root = root, transform = T.Compose { T.Resize { 9, 12 },
      T.ToTensor() } }
    local X = data.DataLoader(ds, { num_workers = 1 })()()
    for i = 1, 5 do
      assert.equal(pixels.md5((ds:get(i))), pixels.md5(X[i]))
    end
  end)

  it("names the sample of another shape (D52)", function()
    make()
    image.write(root .. "/dog/0.png", mascon.zeros({ 3, 30, 32 }, { dtype = "uint8" }))
    for _, workers in ipairs { 0, 1 } do
      fails("DataLoader: sample 4 is {3, 30, 32}, sample 1 was {3, 21, 34}; cannot stack\n"
        .. "hint: resize in the transform", function()
        drain(data.DataLoader(datasets.ImageFolder { root = root }, { num_workers = workers }))
      end)
    end
    local small = datasets.ImageFolder { root = root, transform = T.RandomCrop(31) }
    fails("DataLoader: sample 1 (cat/A.PNG): crop 31x31 is larger than the padded picture 21x34",
      function() drain(data.DataLoader(small)) end)
  end)

  it("names a corrupt picture, or leaves it out (D53)", function()
    make()
    local f = io.open(root .. "/cat/b.jpg", "rb")
    local whole = f:read "*a"
    f:close()
    cifar.write(root .. "/cat/b.jpg", whole:sub(1, 812))
    cifar.write(root .. "/dog/1.jpg", "GIF89a of another kind")
    local ds = datasets.ImageFolder { root = root, transform = T.Resize { 8, 8 } }
    fails("ImageFolder: cat/b.jpg: JPEG data ends early at 812 of 812 bytes", ds.get, ds, 2)
    for _, workers in ipairs { 0, 1, 2 } do
      fails('DataLoader: sample 2 (cat/b.jpg): JPEG data ends early at 812 of 812 bytes\n'
        .. 'hint: on_error = "skip" leaves it out', function()
        drain(data.DataLoader(ds, { num_workers = workers, batch_size = 2 }))
      end)
      local loader = data.DataLoader(ds, { num_workers = workers, batch_size = 2, on_error = "skip" })
      local text = quietly(function()
        assert.equal(3, drain(loader))
      end)
      assert.equal("mascon: warning: DataLoader: 2 of 5 samples of epoch 1 left out; the first: "
        .. "sample 2 (cat/b.jpg: JPEG data ends early at 812 of 812 bytes)\n", text)
      assert.equal(2, #loader.skipped)
      assert.equal(4, loader.skipped[2].index)
      assert.matches("dog/1.jpg: neither JPEG nor PNG", loader.skipped[2].message, 1, true)
      assert.equal(2, select(3, loader:stats()))
      -- a batch of which nothing is left
      local sampled = data.DataLoader(ds, { num_workers = workers, batch_size = 2, on_error = "skip",
        sampler = { 2, 4, 1 } })
      quietly(function() assert.equal(1, drain(sampled)) end)
      assert.equal(1, select(2, sampled:stats()) - 1)
    end
    local lambda = datasets.ImageFolder { root = root, transform = T.Compose {
      T.Lambda(function(x) return x end), T.Resize { 8, 8 } } }
    local loader = data.DataLoader(lambda, { on_error = "skip" })
    quietly(function() assert.equal(3, drain(loader)) end)
    assert.equal(2, #loader.skipped)
    assert.equal(2, loader.skipped[1].index)
  end)

  it("refuses a picture above max_pixels", function()
    make()
    local ds = datasets.ImageFolder { root = root, max_pixels = 100 }
    fails("DataLoader: sample 1 (cat/A.PNG): 34x21 = 714 pixels exceeds max_pixels (100 pixels)",
      function() drain(data.DataLoader(ds)) end)
  end)

  it("refuses folders without classes or pictures", function()
    fails("ImageFolder: no folders of classes in " .. root, datasets.ImageFolder, root)
    fails("ImageFolder: cannot read folder " .. root .. "/none: No such file or directory",
      datasets.ImageFolder, root .. "/none")
    fails("ImageFolder: root is missing", datasets.ImageFolder)
    make()
    os.execute("mkdir '" .. root .. "/ant'")
    fails("ImageFolder: class ant has no pictures in " .. root .. "/ant", datasets.ImageFolder, root)
    cifar.write(root .. "/ant/1.bmp", "BM")
    copy("rgb.png", "ant/2.png")
    local text, ds = quietly(datasets.ImageFolder, root)
    assert.equal("mascon: warning: ImageFolder: 1 pictures are neither JPEG nor PNG and are left out "
      .. "(ant/1.bmp)\n", text)
    assert.equal(6, ds:len())
  end)

  it("survives a file that vanishes and links that lead back", function()
    make()
    local ds = datasets.ImageFolder { root = root }
    os.remove(root .. "/cat/b.jpg")
    fails("DataLoader: sample 2 (cat/b.jpg): ", function() drain(data.DataLoader(ds)) end)
    os.execute(("ln -s .. '%s/dog/loop'"):format(root))
    fails("ImageFolder: folders 32 deep in dog", datasets.ImageFolder, root)
  end)
end)

describe("CIFAR100", function()
  local names = {}
  for i = 1, 100 do
    names[i] = "kind " .. i
  end

  local function make(part, n, first)
    local records = {}
    for i, p in ipairs(cifar.pictures(part, n)) do
      records[i] = string.char(i % 20) .. string.char((first + i) % 100) .. p.planes
    end
    return table.concat(records)
  end

  it("reads the binary layout", function()
    os.execute("mkdir '" .. root .. "/cifar-100-binary'")
    cifar.write(root .. "/cifar-100-binary/train.bin", make(1, 6, 89))
    cifar.write(root .. "/cifar-100-binary/test.bin", make(2, 3, 10))
    cifar.write(root .. "/cifar-100-binary/fine_label_names.txt", table.concat(names, "\n"))
    local train = datasets.CIFAR100 { root = root, partial = true }
    assert.equal(6, train:len())
    local x, label = train:get(2)
    assert.equal(92, label)
    assert.equal(cifar.pictures(1, 6)[2].planes, pixels.bytes(x))
    assert.same(names, train.classes)
    assert.equal(3, datasets.CIFAR100({ root = root, partial = true, train = false }):len())
    fails("CIFAR100: train.bin is 18,444 bytes; expected 153,700,000 (50,000 x 3,074)\n"
      .. "hint: partial = true for a cut-down file", datasets.CIFAR100, { root = root })
    cifar.write(root .. "/cifar-100-binary/train.bin", make(1, 2, 0):gsub("^(.).", "%1\200"))
    fails("CIFAR100: train.bin: record 1 has label 200; expected 0..99", datasets.CIFAR100,
      { root = root, partial = true })
  end)

  it("reads the Python layout and its names", function()
    os.execute("mkdir '" .. root .. "/cifar-100-python'")
    local function short(s) return "U" .. string.char(#s) .. s end
    local meta = { "\128\2}(", short "fine_label_names", "](" }
    for _, name in ipairs(names) do
      meta[#meta + 1] = short(name)
    end
    cifar.write(root .. "/cifar-100-python/meta", table.concat(meta) .. "eu.")
    local list = cifar.pictures(1, 4)
    cifar.write(root .. "/cifar-100-python/train", (cifar.python(list):gsub("U\6labels",
      "U\11fine_labels")))
    local train = datasets.CIFAR100 { root = root, partial = true }
    assert.equal(4, train:len())
    assert.same(names, train.classes)
    local x, label = train:get(3)
    assert.equal(list[3].label + 1, label)
    assert.equal(list[3].planes, pixels.bytes(x))
  end)

  it("says where it looked", function()
    fails("CIFAR100: no cifar-100-binary, cifar-100-python or archive of one in " .. root,
      datasets.CIFAR100, { root = root })
  end)
end)

describe("MNIST", function()
  local function u32(n)
    return string.char(0, 0, math.floor(n / 256), n % 256)
  end

  local function images(n)
    local list = {}
    for i = 1, n * 784 do
      list[i] = string.char(i * 7 % 251)
    end
    return "\0\0\8\3" .. u32(n) .. u32(28) .. u32(28) .. table.concat(list)
  end

  local function labels(n)
    local list = {}
    for i = 1, n do
      list[i] = string.char(i % 10)
    end
    return "\0\0\8\1" .. u32(n) .. table.concat(list)
  end

  --- Files of 5 training pictures in a folder below root.
  local function make(folder)
    os.execute(("mkdir -p '%s/%s'"):format(root, folder))
    cifar.write(root .. "/" .. folder .. "/train-images-idx3-ubyte", images(5))
    cifar.write(root .. "/" .. folder .. "/train-labels-idx1-ubyte", labels(5))
  end

  it("reads plain and packed files in the places where they lie", function()
    for _, folder in ipairs { "MNIST/raw", "raw", "." } do
      make(folder)
      if folder == "raw" then
        os.execute(("gzip '%s/raw/'*"):format(root))
      end
      local ds = datasets.MNIST { root = root, transform = T.ToTensor() }
      assert.equal(5, ds:len())
      local x, label = ds:get(2)
      assert.same({ 1, 28, 28 }, x.shape)
      assert.equal(3, label)
      assert.equal("2 - two", ds.classes[3])
      assert.is_true(math.abs(785 * 7 % 251 / 255 - x[1][1][1]:item()) < 1e-6)
      assert.same({ 5, 1, 28, 28 }, (data.DataLoader(ds, { num_workers = 1 })()().shape))
      os.execute(("rm -r '%s'/*"):format(root))
    end
    make "FashionMNIST/raw"
    assert.equal("Bag", datasets.FashionMNIST({ root = root }).classes[9])
  end)

  it("downloads into its folder", function()
    -- a curl that gives the wrong file: what matters here is where it goes and that nothing stays
    cifar.write(root .. "/curl", '#!/bin/sh\nwhile [ $# -gt 0 ]; do [ "$1" = --output ] && to=$2; shift; '
      .. 'done\nprintf x >"$to"')
    cifar.write(root .. "/script.lua", ("print(pcall(require('mascon').datasets.MNIST, "
      .. "{root = %q, download = true}))"):format(root))
    local pipe = io.popen(("chmod +x '%s/curl'; PATH='%s':$PATH luajit '%s/script.lua' 2>&1")
      :format(root, root, root))
    local text = pipe:read "*a"
    pipe:close()
    assert.matches("MNIST: https://ossci-datasets.s3.amazonaws.com/mnist/train-images-idx3-ubyte.gz "
      .. "has MD5 9dd4e461268c8034f5c8564e155c67a6; expected f68b3c2dcbeaaa9fbdd348bbdeb94873", text, 1,
      true)
    pipe = io.popen("ls -A '" .. root .. "/MNIST/raw'")
    assert.equal("", pipe:read "*a")
    pipe:close()
  end)

  it("refuses wrong files", function()
    fails("MNIST: no train-images-idx3-ubyte or train-images-idx3-ubyte.gz in " .. root .. "/MNIST/raw",
      datasets.MNIST, { root = root })
    make "raw"
    local file = root .. "/raw/train-images-idx3-ubyte"
    cifar.write(file, images(5):sub(1, 2000))
    fails("MNIST: train-images-idx3-ubyte ends early", datasets.MNIST, { root = root })
    cifar.write(file, images(5) .. "x")
    fails("MNIST: train-images-idx3-ubyte has more bytes than its head says", datasets.MNIST,
      { root = root })
    cifar.write(file, images(4))
    fails("MNIST: train-labels-idx1-ubyte has 5 labels, train-images-idx3-ubyte has 4 pictures",
      datasets.MNIST, { root = root })
    cifar.write(file, labels(50))
    fails("MNIST: train-images-idx3-ubyte begins with 00000801; expected 00000803", datasets.MNIST,
      { root = root })
    cifar.write(file, "\0\0\8\3\127\255\255\255" .. u32(28) .. u32(28))
    fails("MNIST: train-images-idx3-ubyte: 1,683,627,179,248 bytes of values", datasets.MNIST,
      { root = root })
    cifar.write(file, images(5))
    cifar.write(root .. "/raw/train-labels-idx1-ubyte", (labels(5):gsub("\3$", "\3"):sub(1, 9)) .. "\77\1\1\1")
    fails("MNIST: train-labels-idx1-ubyte: label 2 is 77; expected 0..9", datasets.MNIST,
      { root = root })
    cifar.write(root .. "/raw/train-labels-idx1-ubyte", labels(5))
    os.execute(("gzip '%s'"):format(file))
    local f = io.open(file .. ".gz", "rb")
    local packed = f:read "*a"
    f:close()
    for _, at in ipairs { 40, #packed - 6 } do
      cifar.write(file .. ".gz", packed:sub(1, at - 1) .. string.char((packed:byte(at) + 1) % 256)
        .. packed:sub(at + 1))
      fails("MNIST: train-images-idx3-ubyte ", datasets.MNIST, { root = root })
    end
    cifar.write(file .. ".gz", packed:sub(1, #packed - 9))
    fails("MNIST: train-images-idx3-ubyte ", datasets.MNIST, { root = root })
  end)
end)

describe("the libraries behind pictures", function()
  it("say their versions", function()
    assert.matches("^libjpeg", layer.string(layer.C.mascon_image_library(layer.C.MASCON_IMAGE_JPEG)))
    assert.matches("^libpng 1%.", layer.string(layer.C.mascon_image_library(layer.C.MASCON_IMAGE_PNG)))
  end)
end)
