"use strict"
// Draws the pictures, fills curves in where somebody zooms, and lists the entries that somebody opens.
{
  const OVERVIEW_ROWS = 1500
  const read = (id) => document.getElementById(id).textContent
  const { documents, items } = JSON.parse(read("pictures"))
  let unpacked = null

  const unpack = () => unpacked ??= (async () => {
    const bytes = Uint8Array.from(atob(read("payload").trim()), (letter) => letter.charCodeAt(0))
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))
    return JSON.parse(await new Response(stream).text())
  })()

  // The way back from what `packing.py` made of lines.
  const numbers = (steps) => { let last = 0; return steps.map((step) => (last += step)) }
  const words = (column, count) => {
    if (typeof column === "string") return Array(count).fill(column)
    if (column.steps) return numbers(column.steps).map((number) => column.before + number + column.after)
    let last = ""
    return column.map((word) => (last = word === 0 ? last : word))
  }
  const lines = (groups) => {
    const found = []
    for (const { at, columns } of groups) {
      const places = numbers(at), parts = columns.map((column) => words(column, places.length))
      places.forEach((place, row) => { found[place] = parts.map((part) => part[row]).join(" ") })
    }
    return found
  }
  const AMOUNT = 4
  let origins = null

  // The rows from `start` to `end` that show all curves on as many points as a wide screen has.
  const shown = (rows, start, end) => {
    const at = rows.at_ms, names = Object.keys(rows)
    let first = at.findIndex((each) => each >= start), last = at.findLastIndex((each) => each <= end)
    if (first < 0 || last < first) return null
    first = Math.max(0, first - 1)
    last = Math.min(at.length - 1, last + 1)
    const count = last - first + 1, kept = new Set([0, at.length - 1, first, last])
    if (count <= OVERVIEW_ROWS) for (let row = first; row <= last; row++) kept.add(row)
    else {
      const buckets = Math.max(1, Math.floor(OVERVIEW_ROWS / (2 * names.length))), size = count / buckets
      for (const name of names) for (let bucket = 0; bucket < buckets; bucket++) {
        const from = first + Math.floor(bucket * size), to = first + Math.floor((bucket + 1) * size)
        let low = from, high = from
        for (let row = from; row < to; row++) {
          if (rows[name][row] < rows[name][low]) low = row
          if (rows[name][row] > rows[name][high]) high = row
        }
        kept.add(from).add(low).add(high)
      }
    }
    return [...kept].sort((left, right) => left - right)
  }

  const zoomable = (model) => {
    const source = model.get_model_by_name("rows"), range = model.get_model_by_name("time")
    if (!source || !range) return
    let waiting = null
    const fill = async () => {
      const { rows } = await unpack()
      const kept = shown(rows, range.start, range.end)
      if (kept) source.data = Object.fromEntries(
        Object.entries(rows).map(([name, values]) => [name, kept.map((row) => values[row] ?? NaN)]))
    }
    const later = () => { clearTimeout(waiting); waiting = setTimeout(fill, 120) }
    range.properties.start.change.connect(later)
    range.properties.end.change.connect(later)
  }

  const cell = (row, text, kind) => {
    const made = row.insertCell()
    made.textContent = text
    made.className = kind
    return made
  }

  const list = async (details) => {
    const { entries, sources } = await unpack()
    const box = document.createElement("div")
    details.append(box)
    const month = entries[details.dataset.entries]
    if (!month) {
      box.textContent = "Too many entries for a page; carrybook explain lists them."
      return
    }
    if (!origins) {
      const told = lines(sources.words)
      origins = new Map(lines(sources.events).map((event, place) => [event, told[place]]))
    }
    const table = document.createElement("table"), usd = lines(month.usd), events = lines(month.events)
    lines(month.labels).forEach((label, place) => {
      const row = table.insertRow(), text = cell(row, label, "text"), source = document.createElement("div")
      source.className = "source"
      source.textContent = origins.get(events[place]) ?? ""
      text.append(source)
      const amount = label.split(" ")[AMOUNT]
      cell(row, usd[place] === "=" ? amount : usd[place] === "-" ? `-${amount}` : usd[place], "")
    })
    box.className = "wide"
    box.append(table)
  }

  for (const details of document.querySelectorAll("[data-entries]"))
    details.addEventListener("toggle", () => list(details), { once: true })

  // The curves of the cells that are ticked, each in the colour that stands beside its tick.
  const ticks = [...document.querySelectorAll("[data-cell]")]
  const choose = async () => {
    const source = Bokeh.documents[0].get_model_by_name("chosen").renderers[0].data_source
    const { curves, colours } = await unpack()
    const data = { xs: [], ys: [], words: [], colour: [] }
    for (const tick of ticks) {
      const colour = tick.checked ? colours[data.xs.length % colours.length] : ""
      tick.nextElementSibling.style.backgroundColor = colour
      if (!tick.checked) continue
      const [times, values] = curves[tick.dataset.cell]
      data.xs.push(times)
      data.ys.push(values)
      data.words.push(tick.dataset.words)
      data.colour.push(colour)
    }
    source.data = data
  }
  for (const tick of ticks) tick.addEventListener("change", choose)

  // A legend of three columns is wider than a phone.
  const narrowed = (value) => {
    if (Array.isArray(value)) value.forEach(narrowed)
    else if (value && typeof value === "object") {
      if (value.name === "Legend") value.attributes.ncols = Math.min(value.attributes.ncols ?? 1, 2)
      Object.values(value).forEach(narrowed)
    }
  }
  if (window.innerWidth < 600) narrowed(documents)

  Bokeh.set_log_level("warn")
  Bokeh.embed.embed_items(documents, items).then(() => {
    Bokeh.documents.forEach(zoomable)
    if (ticks.length) choose()
    // Two frames later all of it is on the screen.
    requestAnimationFrame(() => requestAnimationFrame(() => {
      performance.mark("drawn")
      document.documentElement.dataset.drawn = String(Bokeh.documents.length)
    }))
  })
}
