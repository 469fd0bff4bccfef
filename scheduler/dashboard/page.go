package dashboard

import "net/http"

// registerPages adds what people look at.
func (h *handler) registerPages(*http.ServeMux) {}
