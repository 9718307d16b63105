package responses

import (
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// imageTool is the type of OpenAI's tool that makes images.
const imageTool = "image_generation"

// pictureItem is an image that the model made.
type pictureItem struct {
	ID     string  `json:"id"`
	Type   string  `json:"type"`
	Status string  `json:"status"`
	Format string  `json:"output_format,omitempty"` // png, jpeg or webp
	Result *string `json:"result"`                  // base64
}

// ignoreOptions reports the options of an image_generation tool, of which other models
// have none.
func (c *converter) ignoreOptions(tool jsonscan.Value) {
	for name, value := range tool.Members() {
		if name != "type" && value.Set() {
			c.ignore("tools." + imageTool + "." + name)
		}
	}
}

// elementAt returns an element of an array.
func elementAt(list jsonscan.Value, at int) (found jsonscan.Value) {
	for i, v := range list.Elements() {
		if i == at {
			return v
		}
	}
	return found
}

// picture returns the client's item for an image. If there is only a URL, the
// result is the URL.
func picture(id string, p *dialect.Picture) pictureItem {
	it := pictureItem{ID: id, Type: "image_generation_call", Status: "completed"}
	media, data, ok := dialect.DataURL(p.URL())
	result := data.Text()
	if !ok {
		result = p.URL().Text()
	}
	it.Format, it.Result = strings.TrimPrefix(media, "image/"), &result
	return it
}

// pictures sends images that the model made, each as a separate item.
func (s *stream) pictures(emit emitter, list []dialect.Picture) {
	for i := range list {
		s.closeReasoning(emit)
		s.closeMessage(emit, "completed")
		id, index := "ig_"+s.r.options.NewID(), s.next()
		s.added(emit, index, pictureItem{ID: id, Type: "image_generation_call", Status: "in_progress"})
		for _, state := range [...]string{"in_progress", "generating", "completed"} {
			s.send(emit, "response.image_generation_call."+state, map[string]any{"item_id": id, "output_index": index})
		}
		s.doneItem(emit, index, picture(id, &list[i]))
	}
}

// pictureBack sends an image of an earlier response back to a model that makes
// images, so that it can work on it. It is left out for all other models.
func (c *converter) pictureBack(it *item) {
	if !dialect.MakesPictures(c.model) || it.Result.Empty() {
		c.ignore(it.Type)
		return
	}
	format := it.Format
	if format == "" {
		format = "png"
	}
	c.endTurn()
	url := jsonscan.Join("", jsonscan.Quote("data:image/"+format+";base64,"), it.Result)
	c.images = append(c.images,
		jsonscan.Obj(member("type", jsonscan.Lit(`"text"`)), member("text", jsonscan.Lit(`"The picture that you made:"`))),
		jsonscan.Obj(member("image_url", jsonscan.Obj(member("url", url))), member("type", jsonscan.Lit(`"image_url"`))))
}
