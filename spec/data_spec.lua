--- mascon.data and mascon.transforms: values, order, the same batches for any number of workers.

local mascon = require "mascon"
local layer = require "mascon.ffi"

local data, datasets, T = mascon.data, mascon.datasets, mascon.transforms
local DataLoader = data.DataLoader

--- All batches of one epoch as plain tables.
local function epoch(loader)
  local list = {}
  for X, y in loader() do
    list[#list + 1] = { X:totable(), y:totable() }
  end
  return list
end

--- The labels of one epoch in their order.
local function labels(loader)
  local list = {}
  for _, y in loader() do
    for _, label in ipairs(y:totable()) do
      list[#list + 1] = label
    end
  end
  return list
end

--- n rows {i} with label 100 + i.
local function rows(n)
  local x, y = {}, {}
  for i = 1, n do
    x[i], y[i] = { i }, 100 + i
  end
  return data.TensorDataset(mascon.tensor(x), mascon.tensor(y, { dtype = "int64" }))
end

--- A data set that a script wrote: {i, i} and the number 10 i.
local function scripted(n, more)
  local ds = {
    len = function() return n end,
    get = function(_, i) return mascon.tensor { i, i }, 10 * i end,
  }
  for k, v in pairs(more or {}) do
    ds[k] = v
  end
  return ds
end

local function sorted(list)
  local copy = { unpack(list) }
  table.sort(copy)
  return copy
end

describe("transforms", function()
  local fake = datasets.FakeData { size = 4 }

  --- A uint8 picture {3, 1, 3} with these values in every channel.
  local function picture(a, b, c)
    local row = { { a, b, c } }
    return mascon.tensor({ row, row, row }, { dtype = "uint8" })
  end

  it("give PyTorch's values", function()
    local x = T.ToTensor()(picture(0, 1, 200))
    assert.equal("float32", x.dtype)
    assert.same({ 0, 0.003921568859368563, 0.7843137383460999 }, x:totable()[1][1])
    local y = T.Normalize({ 0.4914, 0.4822, 0.4465 }, { 0.247, 0.243, 0.261 })(
      T.ToTensor()(picture(0, 128, 255))):totable()
    assert.equal(-1.9894737005233765, y[1][1][1])
    assert.equal(0.08132023364305496, y[2][1][2])
    assert.equal(2.120689630508423, y[3][1][3])
  end)

  it("are the same one by one and fused", function()
    local x = fake:get(1)
    local normalize = T.Normalize({ 0.5, 0.4, 0.3 }, { 0.2, 0.3, 0.4 })
    local both = T.Compose { T.Compose { T.ToTensor() }, normalize }
    assert.same(normalize(T.ToTensor()(x)):totable(), both(x):totable())
    local ds = datasets.FakeData { size = 4, transform = both }
    local X = DataLoader(ds, { batch_size = 4 })()()
    for i = 1, 4 do
      assert.same((ds:get(i)):totable(), X:totable()[i])
    end
  end)

  it("convert there and back without a change", function()
    local x = fake:get(3)
    assert.same(x:totable(), T.ConvertImageDtype("uint8")(T.ToTensor()(x)):totable())
    assert.same(T.ToTensor()(x):totable(), T.ConvertImageDtype("float32")(x):totable())
  end)

  it("take batches and any strides", function()
    local x = picture(1, 2, 3)
    local batch = mascon.stack { x, x }
    assert.same({ T.ToTensor()(x):totable(), T.ToTensor()(x):totable() },
      T.ToTensor()(batch):totable())
    local turned = x:transpose(2, 3)
    assert.same(T.ToTensor()(x):transpose(2, 3):totable(), T.ToTensor()(turned):totable())
  end)

  it("print what they are", function()
    assert.equal("Compose(ToTensor(), Normalize(mean = {0.5}, std = {0.25}))",
      tostring(T.Compose { T.ToTensor(), T.Normalize(0.5, 0.25) }))
  end)
end)

describe("data sets", function()
  it("TensorDataset gives rows and shares memory", function()
    local x = mascon.tensor { { 1, 2 }, { 3, 4 } }
    local ds = data.TensorDataset(x, mascon.tensor({ 7, 8 }, { dtype = "int64" }))
    assert.equal(2, ds:len())
    local a, b = ds:get(2)
    assert.same({ 3, 4 }, a:totable())
    assert.equal(8, b:item())
    x:fill_(9)
    assert.same({ 9, 9 }, (ds:get(1)):totable())
  end)

  it("TensorDataset outlives its tensors", function()
    local x = mascon.tensor { { 1, 2 }, { 3, 4 } }
    local ds = data.TensorDataset(x)
    x:release()
    assert.same({ { 1, 2 }, { 3, 4 } }, (DataLoader(ds)()()):totable())
  end)

  it("Subset and ConcatDataset refer to their parents", function()
    local ds = rows(10)
    local some = data.Subset(ds, { 10, 3, 3 })
    assert.equal(3, some:len())
    assert.equal(110, select(2, some:get(1)):item())
    local nested = data.Subset(some, { 2 })
    assert.equal(103, select(2, nested:get(1)):item())
    local both = data.ConcatDataset { some, rows(2) }
    assert.equal(5, both:len())
    assert.same({ 110, 103, 103, 101, 102 }, labels(DataLoader(both)))
    assert.equal(101, select(2, both:get(4)):item())
  end)

  it("ConcatDataset mixes a script's data set with others", function()
    local ones = scripted(2)
    local both = data.ConcatDataset { ones, data.Subset(ones, { 2 }) }
    assert.same({ 10, 20, 20 }, labels(DataLoader(both)))
  end)

  it("random_split covers every sample once", function()
    mascon.manual_seed(3)
    local a, b = data.random_split(rows(10), { 7, 3 })
    assert.equal(7, a:len())
    assert.equal(3, b:len())
    local all = { unpack(a.indices) }
    for _, i in ipairs(b.indices) do
      all[#all + 1] = i
    end
    assert.same({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, sorted(all))
    mascon.manual_seed(3)
    local c, d = data.random_split(rows(10), { 7, 3 })
    assert.same(a.indices, c.indices)
    assert.same(b.indices, d.indices)
    assert.not_same(a.indices, (data.random_split(rows(10), { 7, 3 })).indices)
    assert.same((data.random_split(rows(10), { 5, 5 }, { seed = 4 })).indices,
      (data.random_split(rows(10), { 5, 5 }, { seed = 4 })).indices)
  end)

  it("random_split takes fractions", function()
    local a, b, c = data.random_split(rows(10), { 0.5, 0.25, 0.25 })
    assert.same({ 6, 2, 2 }, { a:len(), b:len(), c:len() })
  end)

  it("keep the classes of their parents", function()
    local ds = datasets.FakeData { size = 10 }
    local a = data.random_split(ds, { 8, 2 })
    assert.equal(ds.classes, a.classes)
    assert.equal(ds.classes, data.ConcatDataset({ a, ds }).classes)
  end)
end)

describe("DataLoader", function()
  local both = T.Compose { T.ToTensor(), T.Normalize({ 0.5, 0.4, 0.3 }, { 0.2, 0.3, 0.4 }) }

  it("gives batches of pictures in channels-last memory and labels from 1", function()
    local ds = datasets.FakeData { size = 70, transform = T.ToTensor() }
    local loader = DataLoader(ds, { batch_size = 32 })
    assert.equal(3, loader:len())
    local sizes = {}
    for X, y in loader() do
      assert.equal("float32", X.dtype)
      assert.equal("int64", y.dtype)
      assert.equal(layer.C.MASCON_LAYOUT_NHWC, layer.C.mascon_tensor_layout(X.h))
      assert.same({ 3, 32, 32 }, { X:size(2), X:size(3), X:size(4) })
      sizes[#sizes + 1] = #y
    end
    assert.same({ 32, 32, 6 }, sizes)
    assert.equal(1, labels(loader)[1])
    local dropping = DataLoader(ds, { batch_size = 32, drop_last = true })
    assert.equal(2, dropping:len())
    assert.equal(2, #epoch(dropping))
  end)

  it("gives uint8 pictures without ToTensor", function()
    local ds = datasets.FakeData { size = 3 }
    local X = DataLoader(ds)()()
    assert.equal("uint8", X.dtype)
    assert.same((ds:get(2)):totable(), X:totable()[2])
  end)

  it("gives the same batches for any number of workers", function()
    local ds = datasets.FakeData { size = 50, image_size = { 3, 8, 8 }, transform = both }
    local expected
    for _, workers in ipairs { 0, 1, 2, 4 } do
      local loader = DataLoader(ds, { batch_size = 8, shuffle = true, num_workers = workers, seed = 5 })
      local first, second = epoch(loader), epoch(loader)
      expected = expected or { first, second }
      assert.same(expected, { first, second })
      assert.not_same(first[1][2], second[1][2])
    end
  end)

  it("gives the same batches when Lua takes part", function()
    local o = { size = 20, image_size = { 3, 8, 8 }, transform = both }
    local plain = datasets.FakeData(o)
    local calls = 0
    o.transform = T.Compose { T.Lambda(function(x)
      calls = calls + 1
      return x
    end), both }
    local options = { batch_size = 8, shuffle = true, seed = 5 }
    local expected = epoch(DataLoader(plain, options))
    assert.same(expected, epoch(DataLoader(datasets.FakeData(o), options)))
    assert.equal(20, calls)
    o.transform, o.target_transform = both, function(label) return label end
    assert.same(expected, epoch(DataLoader(datasets.FakeData(o), options)))
    local wrapped = { classes = plain.classes, len = function() return 20 end,
      get = function(_, i) return plain:get(i) end }
    assert.same(expected, epoch(DataLoader(wrapped, options)))
  end)

  it("shuffles afresh each epoch, from the seed", function()
    local function two(seed)
      mascon.manual_seed(seed)
      local loader = DataLoader(rows(20), { batch_size = 6, shuffle = true })
      return labels(loader), labels(loader)
    end
    local a, b = two(1)
    local c, d = two(1)
    assert.same(a, c)
    assert.same(b, d)
    assert.not_same(a, b)
    assert.not_same(a, (two(2)))
    assert.same(labels(DataLoader(rows(20))), sorted(a))
    assert.same(sorted(a), sorted(b))
  end)

  it("draws nothing from the script's generator", function()
    mascon.manual_seed(9)
    local expected = mascon.rand(3):totable()
    mascon.manual_seed(9)
    epoch(DataLoader(rows(9), { shuffle = true }))
    assert.same(expected, mascon.rand(3):totable())
  end)

  it("follows a sampler", function()
    local ds = rows(10)
    assert.same({ 109, 102, 102 }, labels(DataLoader(ds, { sampler = { 9, 2, 2 } })))
    local loader = DataLoader(ds, { batch_size = 1, sampler = function(e) return { e, 10 - e } end })
    assert.equal(2, loader:len())
    assert.same({ 101, 109 }, labels(loader))
    assert.same({ 102, 108 }, labels(loader))
    local indices = mascon.tensor({ 4, 1 }, { dtype = "int64" })
    assert.same({ 104, 101 }, labels(DataLoader(ds, { sampler = indices })))
  end)

  it("stops when a loop is left early and begins anew", function()
    for _, workers in ipairs { 0, 2 } do
      local loader = DataLoader(rows(40), { batch_size = 4, num_workers = workers })
      local step = loader()
      local _, y = step()
      assert.equal(101, y:totable()[1])
      local _, again = loader()()
      assert.equal(101, again:totable()[1])
      assert.has_error(step)
      loader:close()
      assert.equal(10, #epoch(loader))
    end
    collectgarbage()
  end)

  it("ends its threads with the epoch and with the loader", function()
    local function threads()
      local n = 0
      for _ in io.popen("ls /proc/" .. io.open("/proc/self/stat"):read "*n" .. "/task"):lines() do
        n = n + 1
      end
      return n
    end
    local before = threads()
    local loader = DataLoader(rows(40), { batch_size = 1, num_workers = 3 })
    local step = loader()
    step()
    assert.equal(before + 3, threads())
    while step() do end -- luacheck: ignore
    assert.equal(before, threads())
    loader()
    assert.equal(before + 3, threads())
    loader:close()
    assert.equal(before, threads())
    loader()
    loader, step = nil, nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.equal(before, threads())
  end)

  it("counts what it waited", function()
    local loader = DataLoader(rows(40), { batch_size = 4, num_workers = 1 })
    epoch(loader)
    local seconds, batches = loader:stats()
    assert.is_true(seconds > 0 and seconds < 5)
    assert.equal(10, batches)
  end)

  it("goes on where a saved position says", function()
    for _, o in ipairs { { shuffle = true }, { shuffle = true, num_workers = 2 } } do
      o.batch_size = 3
      mascon.manual_seed(11)
      local loader = DataLoader(rows(20), o)
      local whole = { labels(loader), labels(loader), labels(loader) }
      mascon.manual_seed(11)
      local first = DataLoader(rows(20), o)
      epoch(first)
      local step = first()
      step()
      step()
      local state = first:state_dict()
      mascon.manual_seed(12)
      local second = DataLoader(rows(20), o)
      second:load_state_dict(state)
      local rest = labels(second)
      assert.same({ unpack(whole[2], 7) }, rest)
      mascon.manual_seed(11)
      assert.same(whole[3], labels(second))
      second:load_state_dict(second:state_dict())
      assert.equal(20, #labels(second))
    end
  end)

  it("collates what a script's data set gives", function()
    local X, y = DataLoader(scripted(3))()()
    assert.same({ { 1, 1 }, { 2, 2 }, { 3, 3 } }, X:totable())
    assert.equal("float32", y.dtype)
    assert.same({ 10, 20, 30 }, y:totable())
    local _, classes = DataLoader(scripted(3, { classes = { "a" } }))()()
    assert.equal("int64", classes.dtype)
    local a, b = DataLoader(scripted(3), { dtypes = { "float64", "int32" } })()()
    assert.equal("float64", a.dtype)
    assert.equal("int32", b.dtype)
    local ds = { len = function() return 2 end, get = function(_, i)
      return { x = mascon.tensor { i }, name = "n" .. i }, i == 1, i, "s" .. i
    end }
    local t, flag, number, text = DataLoader(ds)()()
    assert.same({ { 1 }, { 2 } }, t.x:totable())
    assert.same({ "n1", "n2" }, t.name)
    assert.equal("bool", flag.dtype)
    assert.same({ 1, 2 }, number:totable())
    assert.same({ "s1", "s2" }, text)
  end)

  it("leaves collation to collate_fn", function()
    local ds = datasets.FakeData { size = 3, transform = T.ToTensor() }
    local seen
    local loader = DataLoader(ds, { collate_fn = function(samples)
      seen = samples[3][1].dtype
      return #samples, samples[2][2]
    end })
    local n, label = loader()()
    assert.same({ "float32", 3, 2 }, { seen, n, label })
  end)

  it("keeps batches out of scopes", function()
    for _, o in ipairs { { num_workers = 1 }, {} } do
      for _, ds in ipairs { rows(4), scripted(4) } do
        local step = DataLoader(ds, o)()
        local X
        mascon.scope(function() X = step() end)
        assert.equal(4, X:size(1))
      end
    end
  end)

  it("keeps memory flat", function()
    local ds = datasets.FakeData { size = 256, transform = T.ToTensor() }
    local loader = DataLoader(ds, { batch_size = 32, num_workers = 2 })
    local numbers = layer.new("int64_t[?]", layer.C.MASCON_MEMORY_COUNT)
    local function raw()
      layer.C.mascon_memory(0, numbers)
      return tonumber(numbers[layer.C.MASCON_MEMORY_RAW_ALLOCATIONS])
    end
    local function epochs(n)
      for _ = 1, n do
        for _ in loader() do end -- luacheck: ignore
        collectgarbage()
      end
    end
    epochs(5)
    local before = raw()
    epochs(30)
    assert.is_true(raw() - before <= 8, raw() - before)
  end)
end)
